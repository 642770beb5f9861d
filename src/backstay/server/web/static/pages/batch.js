// The page of one batch: its summary goes live, and the rest of the page follows when its state changes.

import "../batch-summary.js";
import "../resume-dialog.js";

const summary = document.querySelector("batch-summary");
const dialog = document.querySelector("resume-dialog");
const again = () => window.location.reload();
const drawn = document.querySelector("[data-state]").dataset.state;

// What can be done depends on the state, and so do the items: the server draws both.
summary.addEventListener("state", ({ detail }) => {
  if (detail.state !== drawn) again();
});
summary.addEventListener("retried", again);
summary.addEventListener("skipped", again);
dialog.addEventListener("resumed", again);
dialog.addEventListener("discarded", () => window.location.assign(dialog.getAttribute("job-page").replace(/\/one$/, "")));
