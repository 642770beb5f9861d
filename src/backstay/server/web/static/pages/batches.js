// The page of batches: the dialog for unfinished batches, file drop, and a live list.

import { Client, jobPath } from "../client.js";
import "../resume-dialog.js";
import { LivePage } from "./live.js";

const MIN_PAUSE_MS = 2_000;
const REFRESH_MS = 5_000;

const dialog = document.querySelector("resume-dialog");
dialog.addEventListener("resumed", ({ detail }) => {
  window.location.assign(`${dialog.getAttribute("job-page")}?id=${encodeURIComponent(detail.job.id)}`);
});
dialog.addEventListener("discarded", () => window.location.reload());

// A stream has the events of one batch, and a browser opens at most six connections per server for all its pages. So the
// page follows one running batch, whose events refresh the list. Changes of other batches appear a little later.
const page = new LivePage({ pause: MIN_PAUSE_MS });
const client = new Client(dialog.getAttribute("api"));

async function follow() {
  for (;;) {
    const row = document.querySelector("[data-live=batches] tr:has(.chip-running)");
    if (row !== null) await followOne(row.dataset.row).catch(() => {});
    await new Promise((go) => setTimeout(go, MIN_PAUSE_MS));
  }
}

async function followOne(id) {
  const over = new AbortController();
  const onEvent = (name, data) => {
    page.refresh();
    if (name === "state" && data.state !== "running") over.abort();
  };
  await client.follow(`${jobPath(id)}/events`, onEvent, { signal: over.signal, isOver: () => true });
}

setInterval(() => page.refresh(), REFRESH_MS);
follow();

const form = document.querySelector("[data-drop]");
if (form !== null) {
  const input = form.querySelector("input[type=file]");
  form.querySelector("[data-drop-hint]").hidden = !window.matchMedia("(any-pointer: fine)").matches; // touch screens cannot drop files
  const over = (isOver) => form.classList.toggle("over", isOver);
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  form.addEventListener("dragleave", () => over(false));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length === 0) return;
    input.files = event.dataTransfer.files;
    form.requestSubmit();
  });
}
