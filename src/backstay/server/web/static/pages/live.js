// Live updates: the server renders regions with `data-live`, and this script updates them in place.
//
// Updates do not disturb the reader: unchanged rows and cells stay, and so do focused or selected nodes. Nothing is
// announced, because the summary does that. Errors are silent, and the update is repeated later.

const MAX_PAUSE_MS = 30_000;
const TIMEOUT_MS = 20_000;

export class LivePage {
  #pause;
  #next;
  #timer = null;
  #isLoading = false;
  #isDirty = false;

  // `pause`: minimum milliseconds between two requests.
  constructor({ pause }) {
    this.#pause = this.#next = pause;
    document.addEventListener("visibilitychange", () => this.#go());
    if (isSettling()) this.refresh();
  }

  // Update the page soon, with one request at a time, however often this is called. Hidden pages wait.
  refresh() {
    this.#isDirty = true;
    this.#go();
  }

  async #go() {
    if (!this.#isDirty || this.#isLoading || this.#timer !== null || document.visibilityState === "hidden") return;
    this.#isDirty = false;
    this.#isLoading = true;
    try {
      draw(await load(window.location.href));
      this.#next = this.#pause;
      this.#isDirty ||= isSettling();
    } catch {
      this.#isDirty = true;
      this.#next = Math.min(2 * this.#next, MAX_PAUSE_MS);
    }
    this.#isLoading = false;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#go();
    }, this.#next);
  }
}

// Load the page as the server renders it now. The browser parses it, because the page's policy forbids parsing strings.
function load(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = TIMEOUT_MS;
    request.onload = () => (request.status === 200 && request.response !== null ? resolve(request.response) : reject());
    request.onerror = request.ontimeout = reject;
    request.send();
  });
}

function draw(fresh) {
  for (const now of fresh.querySelectorAll("[data-live]")) {
    const region = document.querySelector(`[data-live="${now.dataset.live}"]`);
    if (region === null) window.location.reload(); // for instance, its first row appeared
    else if (region.localName === "tbody") drawRows(region, now);
    else drawPart(region, now);
  }
}

function drawRows(body, now) {
  const remaining = new Map([...body.rows].map((row) => [row.dataset.row, row]));
  for (const [index, fresh] of [...now.rows].entries()) {
    const row = remaining.get(fresh.dataset.row);
    remaining.delete(fresh.dataset.row);
    if (row === undefined) body.insertBefore(document.importNode(fresh, true), body.rows[index] ?? null);
    else [...fresh.cells].forEach((cell, column) => drawCell(row.cells[column], cell));
  }
  for (const row of remaining.values()) {
    if (!isInUse(row)) row.remove();
  }
}

function drawCell(cell, now) {
  if (!cell.isEqualNode(now) && !isInUse(cell)) cell.replaceChildren(...document.importNode(now, true).childNodes);
}

function drawPart(region, now) {
  if (region.isEqualNode(now)) return;
  const focused = region.contains(document.activeElement) ? document.activeElement.textContent : null;
  for (const { name, value } of now.attributes) region.setAttribute(name, value);
  region.replaceChildren(...document.importNode(now, true).childNodes);
  if (focused === null) return;
  // Focus the same button, if it still exists, and no other: the next key press could trigger a different action.
  const same = [...region.querySelectorAll("button, a")].find((control) => control.textContent === focused);
  region.tabIndex = -1;
  (same ?? region).focus();
}

// Whether the page will change without an event, for example when the last worker of a paused job exits.
function isSettling() {
  return document.querySelector("[data-settling]") !== null;
}

function isInUse(node) {
  const selection = document.getSelection();
  return node.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(node, true));
}
