// The page that makes conversations again: its keys, and a selection that ends where the conversations are replaced.

import "./keys.js";
import { Selection } from "./selection.js";

document.querySelector("[data-starts]")?.addEventListener("submit", ({ target }) => {
  Selection.drop(target.elements.ids.value.split("\n").filter(Boolean));
});
