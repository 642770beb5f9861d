// The page of one conversation: the delete button opens the dialog.

import "../pre-delete-backup.js";
import { isOutOfContact } from "../client.js";
import { listAfter } from "./list_after.js";
import { Selection } from "./selection.js";

const form = document.querySelector("[data-one]");
const dialog = document.querySelector("pre-delete-backup");
const list = document.querySelector(".trail a").href;
let gone = null;
let isUnknown = false;

form.querySelector("[data-delete]").addEventListener("click", (event) => {
  event.preventDefault();
  dialog.ask({ conversationIds: [form.elements.id.value] });
});
dialog.addEventListener("deleted", ({ detail }) => {
  gone = detail.deletion;
  Selection.drop([form.elements.id.value]);
});
dialog.addEventListener("undone", () => { gone = null; });
dialog.addEventListener("failed", ({ detail }) => { isUnknown = isOutOfContact(detail.error); });
dialog.addEventListener("close", () => {
  if (isUnknown) window.location.assign(list);
  if (gone !== null) window.location.assign(listAfter(gone, list));
});
