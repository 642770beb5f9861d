// The selected conversations: ids, stored for this tab across pages; or all that match.

const STORAGE_KEY = "backstay-selection";
const MAX_IDS = 10_000;
const PAGE_SIZE = 200;
const ESCAPE = /\\(?:(\\)|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))/gi;

// Parse an id that a page printed, and restore its escaped characters.
export function idOf(printed) {
  return printed.replace(ESCAPE, (all, backslash, ...codes) => backslash ?? String.fromCodePoint(Number.parseInt(codes.slice(0, 3).join(""), 16)));
}

export class Selection {
  #filters;
  #ids;

  constructor(filters) {
    this.#filters = filters;
    this.#ids = new Set(load());
    this.isEverything = false;
  }

  static forget() {
    store([]);
  }

  // Remove printed ids from the selection.
  static drop(printed) {
    const gone = new Set(printed.map(idOf));
    store(load().filter((id) => !gone.has(id)));
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
    store(this.ids);
  }

  clear() {
    this.isEverything = false;
    this.#ids.clear();
    store([]);
  }

  // Select all matching conversations: by id up to the API's limit, beyond that by the filters.
  async addMatching(client, onProgress) {
    const ids = [];
    let cursor = null;
    do {
      const query = new URLSearchParams({ ...this.#query(), limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) });
      const page = await client.get(`/api/conversations?${query}`);
      for (const { id } of page.conversations) ids.push(id);
      cursor = page.nextCursor;
      onProgress(ids.length);
    } while (cursor !== null && ids.length <= MAX_IDS);
    if (ids.length > MAX_IDS) {
      this.clear();
      this.isEverything = true;
    } else {
      this.set(ids, true);
    }
  }

  // The selection as the API expects it.
  forApi() {
    if (!this.isEverything) return { conversationIds: this.ids };
    const query = this.#query();
    return Object.keys(query).length > 0 ? query : { all: true };
  }

  #query() {
    const { search, job, persona, before } = this.#filters;
    const query = { search, jobId: job, persona, createdBefore: before && `${before}T00:00:00Z` };
    return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
  }
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "[]");
  } catch {
    return [];
  }
}

function store(ids) {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(ids));
  } catch {
    // Without storage, each page has its own selection.
  }
}
