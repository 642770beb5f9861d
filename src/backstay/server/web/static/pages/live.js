// The live parts of a page: the server renders parts with `data-live`, and they are updated in place.
//
// Updates do not disturb the reader: unchanged rows and cells stay, and so does what has the focus or is being selected.
// Nothing is announced, because the summary does that. Errors are silent, and the update is tried again later.

const LONGEST_PAUSE = 30_000;
const LONGEST_ANSWER = 20_000;

export class LivePage {
  #pause;
  #next;
  #timer = null;
  #isAsking = false;
  #isWanted = false;

  // `pause`: milliseconds between two requests, at least.
  constructor({ pause }) {
    this.#pause = this.#next = pause;
    document.addEventListener("visibilitychange", () => this.#go());
    if (isSettling()) this.refresh();
  }

  // Update the page soon, with one request at a time, however often this is called. Hidden pages wait.
  refresh() {
    this.#isWanted = true;
    this.#go();
  }

  async #go() {
    if (!this.#isWanted || this.#isAsking || this.#timer !== null || document.visibilityState === "hidden") return;
    this.#isWanted = false;
    this.#isAsking = true;
    try {
      draw(await load(window.location.href));
      this.#next = this.#pause;
      this.#isWanted ||= isSettling();
    } catch {
      this.#isWanted = true;
      this.#next = Math.min(2 * this.#next, LONGEST_PAUSE);
    }
    this.#isAsking = false;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#go();
    }, this.#next);
  }
}

// The page as the server draws it now. Not parsed from a text here, which the policy of our pages does not allow.
function load(address) {
  return new Promise((found, lost) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = LONGEST_ANSWER;
    request.onload = () => (request.status === 200 && request.response !== null ? found(request.response) : lost());
    request.onerror = request.ontimeout = lost;
    request.send();
  });
}

function draw(fresh) {
  for (const now of fresh.querySelectorAll("[data-live]")) {
    const part = document.querySelector(`[data-live="${now.dataset.live}"]`);
    if (part === null) window.location.reload(); // its first row, for instance
    else if (part.localName === "tbody") drawRows(part, now);
    else drawPart(part, now);
  }
}

function drawRows(body, now) {
  const left = new Map([...body.rows].map((row) => [row.dataset.row, row]));
  for (const [place, fresh] of [...now.rows].entries()) {
    const row = left.get(fresh.dataset.row);
    left.delete(fresh.dataset.row);
    if (row === undefined) body.insertBefore(document.importNode(fresh, true), body.rows[place] ?? null);
    else [...fresh.cells].forEach((cell, at) => drawCell(row.cells[at], cell));
  }
  for (const row of left.values()) {
    if (!isInUse(row)) row.remove();
  }
}

function drawCell(cell, now) {
  if (!cell.isEqualNode(now) && !isInUse(cell)) cell.replaceChildren(...document.importNode(now, true).childNodes);
}

function drawPart(part, now) {
  if (part.isEqualNode(now)) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.textContent : null;
  for (const { name, value } of now.attributes) part.setAttribute(name, value);
  part.replaceChildren(...document.importNode(now, true).childNodes);
  if (focused === null) return;
  // On the same button, if it is still there, and on no other: a key that is pressed next may mean something else there.
  const same = [...part.querySelectorAll("button, a")].find((one) => one.textContent === focused);
  part.tabIndex = -1;
  (same ?? part).focus();
}

// What is about to change without an event, as when the last worker of a paused job leaves.
function isSettling() {
  return document.querySelector("[data-settling]") !== null;
}

function isInUse(node) {
  const selection = document.getSelection();
  return node.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(node, true));
}
