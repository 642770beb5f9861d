// The page of one conversation: its delete opens the dialog.

import "../pre-delete-backup.js";
import { listAfter } from "./list_after.js";

const form = document.querySelector("[data-one]");
const dialog = document.querySelector("pre-delete-backup");
const list = document.querySelector(".trail a").href;
let gone = null;

form.querySelector("[data-delete]").addEventListener("click", (event) => {
  event.preventDefault();
  dialog.ask({ conversationIds: [form.elements.id.value] });
});
dialog.addEventListener("deleted", ({ detail }) => { gone = detail.deletion; });
dialog.addEventListener("undone", () => { gone = null; });
dialog.addEventListener("close", () => {
  if (gone !== null) window.location.assign(listAfter(gone, list));
});
