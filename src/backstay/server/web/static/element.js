// The base of all elements: access to the API, and cancellation of requests when an element leaves the page.

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

  // A string, or a function that returns a string or a promise of one. By default, `configure` or the page's cookie.
  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token;
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
    // After the importing script, which may still configure the API.
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

  // Whether the element has started. Attributes that change earlier take effect when it starts.
  get isStarted() {
    return this.#isStarted;
  }

  start() {}

  show(...children) {
    this.shadowRoot.replaceChildren(...children);
  }

  // Dispatch an event to the page; return false if the page cancelled it.
  emit(name, detail, { cancelable = false } = {}) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }));
  }
}

const LOST = "The connection was lost. Trying again…";
const OUTSIDE = "You are signed out. Open the address that the server printed, or sign in; this page will then continue.";

// The message while contact is lost. `outcome` is what may or may not have happened.
export function lostContact(error, outcome = null) {
  const why = error?.status === 401 ? OUTSIDE : LOST;
  return outcome === null ? why : `${why} Until then it is not known whether ${outcome}.`;
}

// Show that message in a node, without repeating it.
export function showLostContact(node, error, outcome, addition = "") {
  const text = `${lostContact(error, outcome)}${addition}`;
  if (node.textContent !== text) node.replaceChildren(element("p", { class: "lost", role: "status" }, text));
}

// Show a text in a node, without repeating it, because screen readers announce each change.
export function showStatus(node, text, kind = "muted") {
  if (node.textContent === text) return;
  node.className = kind;
  node.textContent = text;
}

export function skeleton(...widths) {
  return element("div", { role: "status", "aria-label": "Loading" }, widths.map((width) => element("div", { class: `skeleton ${width}` })));
}

export function problem(error) {
  return element("p", { class: "problem", part: "problem", role: "alert" }, error.message);
}
