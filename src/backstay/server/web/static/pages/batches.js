// The page of batches: the dialog for unfinished ones, a file that can be dropped, and a list that is live.

import { Client } from "../client.js";
import "../resume-dialog.js";
import { LivePage } from "./live.js";

const PAUSE = 2_000;
const SELDOM = 5_000;

const dialog = document.querySelector("resume-dialog");
dialog.addEventListener("resumed", ({ detail }) => {
  window.location.assign(`${dialog.getAttribute("job-page")}?id=${encodeURIComponent(detail.job.id)}`);
});
dialog.addEventListener("discarded", () => window.location.reload());

// Events are those of one batch, and a browser has six connections to a server, for all its pages: so one batch that runs
// is followed and tells when to look at the list. What begins or ends elsewhere is seen a little later.
const page = new LivePage({ pause: PAUSE });
const client = new Client(dialog.getAttribute("api"));

async function follow() {
  for (;;) {
    const row = document.querySelector("[data-live=batches] tr:has(.chip-running)");
    if (row !== null) await followOne(row.dataset.row).catch(() => {});
    await new Promise((go) => setTimeout(go, PAUSE));
  }
}

async function followOne(id) {
  const over = new AbortController();
  const tell = (name, data) => {
    page.refresh();
    if (name === "state" && data.state !== "running") over.abort();
  };
  await client.follow(`/api/batches/${encodeURIComponent(id)}/events`, tell, { signal: over.signal, isOver: () => true });
}

setInterval(() => page.refresh(), SELDOM);
follow();

const form = document.querySelector("[data-drop]");
if (form !== null) {
  const input = form.querySelector("input[type=file]");
  form.querySelector("[data-drop-hint]").hidden = !window.matchMedia("(any-pointer: fine)").matches; // no finger drops a file
  const over = (is) => form.classList.toggle("over", is);
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
