// Reading a conversation by keyboard: its keys, and whether it is selected in the list.

import { controlOf, onKey, say } from "./keys.js";
import { remember } from "./read_last.js";
import { Selection } from "./selection.js";

const id = document.querySelector("[data-reading]").dataset.reading;
const select = document.querySelector("[data-select]");

remember({ id });

onKey({ u: () => {
  const undo = controlOf("u");
  if (undo === null) say("Nothing to undo");
  else undo.click();
} });

const draw = () => select.setAttribute("aria-pressed", String(Selection.includes(id)));
select.hidden = false;
select.addEventListener("click", () => {
  Selection.toggle(id);
  draw();
  say(Selection.includes(id) ? "Selected" : "No longer selected");
});
draw();
