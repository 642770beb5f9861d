// The selected conversations: ids, stored for this tab across pages; or all that match.

import { loadList, storeList } from "../stored_list.js";

const STORAGE_KEY = "backstay-selection";
const ESCAPE = /\\(?:(\\)|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))/gi;

// Parse an id that a page printed, and restore its escaped characters.
export function idOf(printed) {
  return printed.replace(ESCAPE, (all, backslash, ...codes) => backslash ?? String.fromCodePoint(Number.parseInt(codes.slice(0, 3).join(""), 16)));
}

export class Selection {
  #filters;
  #ids;
  #maxIds;
  #maxPage;

  constructor({ filters, maxIds, maxPage }) {
    this.#filters = JSON.parse(filters);
    this.#maxIds = Number(maxIds);
    this.#maxPage = Number(maxPage);
    this.#ids = new Set(loadList(STORAGE_KEY));
    this.isEverything = false;
  }

  static forget() {
    storeList(STORAGE_KEY, []);
  }

  // Remove printed ids from the selection.
  static drop(printed) {
    const gone = new Set(printed.map(idOf));
    storeList(STORAGE_KEY, loadList(STORAGE_KEY).filter((id) => !gone.has(id)));
  }

  // Whether the selection that is stored for this tab has a printed id.
  static includes(printed) {
    return loadList(STORAGE_KEY).includes(idOf(printed));
  }

  // Select a printed id, or select it no longer.
  static toggle(printed) {
    const ids = new Set(loadList(STORAGE_KEY));
    if (!ids.delete(idOf(printed))) ids.add(idOf(printed));
    storeList(STORAGE_KEY, [...ids]);
  }

  get size() {
    return this.#ids.size;
  }

  get ids() {
    return [...this.#ids];
  }

  has(id) {
    return this.isEverything || this.#ids.has(id);
  }

  set(ids, isSelected) {
    this.isEverything = false;
    for (const id of ids) {
      if (isSelected) this.#ids.add(id);
      else this.#ids.delete(id);
    }
    storeList(STORAGE_KEY, this.ids);
  }

  clear() {
    this.isEverything = false;
    this.#ids.clear();
    storeList(STORAGE_KEY, []);
  }

  // Select all matching conversations: by id up to the API's limit, beyond that by the filters.
  async selectMatching(client, onProgress) {
    const ids = [];
    const query = new URLSearchParams({ limit: this.#maxPage });
    for (const [name, value] of Object.entries(this.#filters)) for (const each of [value].flat()) query.append(name, each);
    let cursor = null;
    do {
      if (cursor !== null) query.set("cursor", cursor);
      const page = await client.get(`/api/conversations?${query}`);
      for (const { id } of page.conversations) ids.push(id);
      cursor = page.nextCursor;
      onProgress(ids.length);
    } while (cursor !== null && ids.length <= this.#maxIds);
    if (ids.length > this.#maxIds) {
      this.clear();
      this.isEverything = true;
    } else {
      this.clear();
      this.set(ids, true);
    }
  }

  // The selection as the API expects it.
  forApi() {
    if (!this.isEverything) return { conversationIds: this.ids };
    return Object.keys(this.#filters).length > 0 ? this.#filters : { all: true };
  }
}
