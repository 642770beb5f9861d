// The page of one batch: its summary goes live, and so does what the server draws around it, items above all.

import "../batch-summary.js";
import "../resume-dialog.js";
import { LivePage } from "./live.js";

const summary = document.querySelector("batch-summary");
const dialog = document.querySelector("resume-dialog");
const page = new LivePage({ pause: 2_000 });

summary.addEventListener("progress", () => {
  // Of a large batch, the items of this page may all be settled.
  if (document.querySelector("[data-live=items] :is(.chip-pending, .chip-running)") !== null) page.refresh();
});
for (const name of ["state", "retried", "skipped", "finished"]) summary.addEventListener(name, () => page.refresh());
dialog.addEventListener("resumed", () => page.refresh());
dialog.addEventListener("discarded", () => window.location.assign(dialog.getAttribute("job-page").replace(/\/one$/, "")));
