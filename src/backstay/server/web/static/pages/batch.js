// The page of one batch: the summary updates live, and so do the server-rendered parts around it.

import "../batch-summary.js";
import "../resume-dialog.js";
import { LivePage } from "./live.js";

const summary = document.querySelector("batch-summary");
const dialog = document.querySelector("resume-dialog");
const page = new LivePage({ pause: 2_000 });

summary.addEventListener("progress", () => {
  // In a large batch, all items of this page may already be final.
  if (document.querySelector("[data-live=items] :is(.chip-pending, .chip-running)") !== null) page.refresh();
});
for (const name of ["state", "retried", "skipped", "finished"]) summary.addEventListener(name, () => page.refresh());
dialog.addEventListener("resumed", () => page.refresh());
dialog.addEventListener("discarded", () => window.location.assign(dialog.getAttribute("job-page").replace(/\/one$/, "")));
