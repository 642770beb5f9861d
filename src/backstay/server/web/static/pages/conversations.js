// The page of conversations: a selection that persists across pages, and deletes through the dialog.

import "../pre-delete-backup.js";
import { Client, isOutOfContact } from "../client.js";
import { formatCount, formatNumber, printedId } from "../dom.js";
import { listAfter } from "./list_after.js";
import { followNew } from "./new_conversations.js";
import { Selection, idOf } from "./selection.js";
import { loadList, storeList } from "../stored_list.js";

const REVIEWING_KEY = "backstay-reviewing"; // the review that a button of this page has requested, if any

const form = document.querySelector("[data-selecting]");
const dialog = document.querySelector("pre-delete-backup");
const news = document.querySelector("[data-live]");

if (news !== null) followNew(news);

if (form === null) {
  Selection.forget();
} else {
  enhance(form);
}

function enhance(page) {
  // What was reviewed is selected no longer; but once only, since the page with the result may be loaded again.
  if (document.querySelector("[data-reviewed]") !== null && loadList(REVIEWING_KEY).length > 0) Selection.forget();
  storeList(REVIEWING_KEY, []);
  const selection = new Selection(page.dataset);
  const boxes = [...page.querySelectorAll("input[name=id]")];
  const [all, status, match, clear, remove, again, send] = ["all", "selected", "match", "clear", "delete", "again", "export"].map((name) => page.querySelector(`[data-${name}]`));
  const reviewing = [...page.querySelectorAll("[data-review]")];
  let gone = null;
  let isStale = false;
  // Without a selection, all that match are exported: reading is harmless.
  const exportAll = Object.keys(JSON.parse(page.dataset.filters)).length === 0 ? "Export all" : "Export all matching";

  const draw = () => {
    for (const box of boxes) {
      box.checked = selection.has(idOf(box.value));
      box.closest("tr").classList.toggle("is-selected", box.checked);
    }
    const count = selection.isEverything ? null : selection.size;
    const here = boxes.filter((box) => box.checked).length;
    all.checked = here === boxes.length;
    all.indeterminate = here > 0 && here < boxes.length;
    const elsewhere = count === here ? "" : `, ${formatNumber(count - here)} not on this page`;
    status.textContent = selection.isEverything ? "All matching conversations are selected" : count === 0 ? "No conversations selected" : `${formatCount(count, "conversation")} selected${elsewhere}`;
    clear.hidden = count === 0;
    for (const button of [remove, again, ...reviewing]) button.disabled = count === 0;
    send.textContent = count === 0 ? exportAll : "Export";
  };

  all.disabled = false;
  match.hidden = false;
  all.addEventListener("change", () => {
    selection.set(boxes.map((box) => idOf(box.value)), all.checked);
    draw();
  });
  page.addEventListener("change", (event) => {
    if (event.target.name !== "id") return;
    selection.set([idOf(event.target.value)], event.target.checked);
    draw();
  });
  clear.addEventListener("click", () => {
    selection.clear();
    draw();
    all.focus();
  });
  match.addEventListener("click", async () => {
    match.disabled = true;
    try {
      await selection.selectMatching(new Client(page.dataset.root), (count) => {
        status.textContent = `${formatCount(count, "conversation")} found…`;
      });
    } catch (error) {
      status.textContent = error.message;
      return;
    } finally {
      match.disabled = false;
    }
    draw();
  });

  for (const button of reviewing) button.addEventListener("click", () => storeList(REVIEWING_KEY, [button.value]));

  // The form sends the selection of all pages, not only the boxes of this page.
  page.addEventListener("formdata", (event) => {
    event.formData.delete("id");
    if (selection.isEverything) event.formData.set("scope", "all");
    else event.formData.set("ids", selection.ids.map(printedId).join("\n"));
  });
  remove.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.ask(selection.forApi());
  });
  dialog.addEventListener("deleted", ({ detail }) => {
    selection.clear();
    gone = detail.deletion;
  });
  dialog.addEventListener("undone", () => {
    gone = null;
    draw();
  });
  // A refused delete changed nothing, so the page need not reload.
  dialog.addEventListener("failed", ({ detail }) => { isStale = isOutOfContact(detail.error); });
  // Reload the list, with the undo of the delete.
  dialog.addEventListener("close", () => {
    if (gone !== null) window.location.assign(listAfter(gone, window.location.href));
    else if (isStale) window.location.reload();
  });
  draw();
}
