// The page of batches: the dialog for unfinished ones, and a file that can be dropped.

import "../resume-dialog.js";

const dialog = document.querySelector("resume-dialog");
dialog.addEventListener("resumed", ({ detail }) => {
  window.location.assign(`${dialog.getAttribute("job-page")}?id=${encodeURIComponent(detail.job.id)}`);
});
dialog.addEventListener("discarded", () => window.location.reload());

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
