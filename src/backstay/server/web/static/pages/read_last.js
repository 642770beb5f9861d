// What the list focuses when it is opened next in this tab: the conversation that was read last, or an end of the page.

import { loadList, storeList } from "../stored_list.js";

const STORAGE_KEY = "backstay-read-last";

// Remember `{ id }`, a printed id, or `{ end }`: `first` or `last`.
export function remember(focused) {
  storeList(STORAGE_KEY, [focused]);
}

// Return it, and forget it; an empty object if there is none.
export function recall() {
  const [focused] = loadList(STORAGE_KEY);
  storeList(STORAGE_KEY, []);
  return focused ?? {};
}
