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
    let cursor = null;
    do {
      const query = new URLSearchParams({ ...this.#query(), limit: this.#maxPage, ...(cursor === null ? {} : { cursor }) });
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
    const { tag, ratingFrom, ratingBelow, ...query } = this.#query();
    if (tag !== undefined) query.tags = [tag];
    for (const [name, rating] of Object.entries({ ratingFrom, ratingBelow })) if (rating !== undefined) query[name] = Number(rating);
    return Object.keys(query).length > 0 ? query : { all: true };
  }

  #query() {
    const { job, createdBefore, edited, ...others } = this.#filters;
    const before = createdBefore && `${createdBefore}T00:00:00Z`;
    const query = { ...others, jobId: job, createdBefore: before, edited: edited && true };
    return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
  }
}
