// The page that lists missing conversations of a selection: remove them from the selection.

import { Selection } from "./selection.js";

Selection.drop(document.querySelector("[data-gone]").dataset.gone.split("\n"));
