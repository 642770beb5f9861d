// Lists that are stored for this tab, across its pages. Where the browser stores nothing, they are empty on each page.

export function loadList(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "[]");
  } catch {
    return [];
  }
}

export function storeList(key, list) {
  try {
    sessionStorage.setItem(key, JSON.stringify(list));
  } catch {
    // The list stays as it was.
  }
}
