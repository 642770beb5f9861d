// Which conversations are selected: by their ids, kept for this tab from page to page; or all that match.

const KEPT = "backstay-selection";
const MOST = 10_000;
const PAGE = 200;
const ESCAPE = /\\(?:(\\)|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))/gi;

// The id that a page has printed; what stands for a character that cannot be seen is that character again.
export function idOf(printed) {
  return printed.replace(ESCAPE, (all, backslash, ...codes) => backslash ?? String.fromCodePoint(Number.parseInt(codes.slice(0, 3).join(""), 16)));
}

export class Selection {
  #filters;
  #ids;

  constructor(filters) {
    this.#filters = filters;
    this.#ids = new Set(kept());
    this.isEverything = false;
  }

  static forget() {
    keep([]);
  }

  // Ids as a page has printed them.
  static drop(printed) {
    const gone = new Set(printed.map(idOf));
    keep(kept().filter((id) => !gone.has(id)));
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
    keep(this.ids);
  }

  clear() {
    this.isEverything = false;
    this.#ids.clear();
    keep([]);
  }

  // Select all that match: one by one as far as the API takes ids, beyond that by what they match.
  async addMatching(client, tell) {
    const found = [];
    let cursor = null;
    do {
      const query = new URLSearchParams({ ...this.#query(), limit: PAGE, ...(cursor === null ? {} : { cursor }) });
      const page = await client.get(`/api/conversations?${query}`);
      for (const one of page.conversations) found.push(one.id);
      cursor = page.nextCursor;
      tell(found.length);
    } while (cursor !== null && found.length <= MOST);
    if (found.length > MOST) {
      this.clear();
      this.isEverything = true;
    } else {
      this.set(found, true);
    }
  }

  // As the API takes it.
  forApi() {
    if (!this.isEverything) return { conversationIds: this.ids };
    const query = this.#query();
    return Object.keys(query).length > 0 ? query : { all: true };
  }

  #query() {
    const { search, job, persona, before } = this.#filters;
    const given = { search, jobId: job, persona, createdBefore: before && `${before}T00:00:00Z` };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  }
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  } catch {
    return [];
  }
}

function keep(ids) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(ids));
  } catch {
    // A page without storage keeps its selection for itself.
  }
}
