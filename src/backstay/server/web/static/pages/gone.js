// The page that tells what of a selection is gone: from here on it is not selected any more.

import { Selection } from "./selection.js";

Selection.drop(document.querySelector("[data-gone]").dataset.gone.split("\n"));
