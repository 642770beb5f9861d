// What our elements share: where their API is, and that they stop what they began when they leave the page.

import { Client } from "./client.js";
import { element } from "./dom.js";
import { sheets } from "./sheet.js";

export class BackstayElement extends HTMLElement {
  #token = null;
  #leaving = new AbortController();
  #isStarted = false;

  constructor(rules = "") {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = sheets(rules);
  }

  // A text, or a function that returns one or a promise of one. Without it, the page's cookie or `configure` speaks.
  get token() {
    return this.#token;
  }

  set token(given) {
    this.#token = given;
  }

  get client() {
    return new Client(this.getAttribute("api"), this.#token);
  }

  // Aborted when the element leaves the page.
  get signal() {
    return this.#leaving.signal;
  }

  connectedCallback() {
    if (this.#leaving.signal.aborted) this.#leaving = new AbortController();
    // Behind the script that has imported us, which may still say where the API is.
    queueMicrotask(() => {
      if (!this.isConnected || this.#isStarted) return;
      this.#isStarted = true;
      this.start();
    });
  }

  disconnectedCallback() {
    this.#isStarted = false;
    this.#leaving.abort();
  }

  // Whether it has begun: attributes that change before that are seen when it does.
  get isStarted() {
    return this.#isStarted;
  }

  start() {}

  show(...children) {
    this.shadowRoot.replaceChildren(...children);
  }

  // Tell the page; returns whether it lets us go on.
  tell(name, detail, { cancelable = false } = {}) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }));
  }
}

const LOST = "The connection was lost. Trying again…";
const OUTSIDE = "This page is signed out. Open the address that the server has printed, or sign in; this page then continues.";

// What there is to say while there is no contact; `what` is what may have been done, or not.
export function lostContact(error, what = null) {
  const why = error?.status === 401 ? OUTSIDE : LOST;
  return what === null ? why : `${why} Until then it is not known whether ${what}.`;
}

// Say so in a place; once, however often it is found.
export function sayLost(place, error, what, found = "") {
  const text = `${lostContact(error, what)}${found}`;
  if (place.textContent !== text) place.replaceChildren(element("p", { class: "lost", role: "status" }, text));
}

export function skeleton(...widths) {
  return element("div", { role: "status", "aria-label": "Loading" }, widths.map((width) => element("div", { class: `skeleton ${width}` })));
}

export function problem(error) {
  return element("p", { class: "problem", part: "problem", role: "alert" }, error.message);
}
