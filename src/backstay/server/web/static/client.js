// The API: its address, its token, how its errors and events come back, and what holds when contact is lost. A request
// without an answer may have been carried out, so it is not reported as failed: it is sent again, under the same key.

const settings = { api: "", token: null };

// Say it once for all elements of a page. `token` is a text, or a function that returns one or a promise of one.
export function configure({ api, token }) {
  if (api !== undefined) settings.api = api.replace(/\/$/, "");
  if (token !== undefined) settings.token = token;
}

export class ApiError extends Error {
  constructor(status, { code, message, details }) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details ?? {};
  }
}

const UNREACHABLE = { code: "unreachable", message: "The server does not answer. Is it running? Then try again." };
// No answer; a token that may be renewed in another tab; too many at once; a database or an issuer out of reach.
const PASSING = [0, 401, 429, 503];
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
// Streams have a heartbeat: one that is silent for so long has lost its other end, although it was not closed.
const LONGEST_SILENCE = 60_000;

// Contact is lost: there is no answer of the server's, only silence, a broken connection or a proxy that says so.
export function isOutOfContact(error) {
  return error instanceof ApiError && error.status === 0;
}

export function outOfContact() {
  return new ApiError(0, UNREACHABLE);
}

// Names one request, so that it is done once however often it is sent.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Client {
  constructor(api, token) {
    this.api = (api ?? settings.api).replace(/\/$/, "");
    this.token = token ?? settings.token;
  }

  // With a token, links cannot carry it: they need a ticket.
  get needsTicket() {
    return this.token !== null && this.token !== undefined;
  }

  get(path, options) {
    return this.#json("GET", path, undefined, options);
  }

  post(path, body = {}, options) {
    return this.#json("POST", path, body, options);
  }

  // Have something done once, and return the answer: when contact is lost it is asked for again, see `until`.
  act(path, body = {}, { signal, lost, headers } = {}) {
    const sent = { ...headers, "Idempotency-Key": newKey() };
    return this.until(() => this.post(path, body, { headers: sent }), { signal, lost });
  }

  // Read something, see `until`.
  ask(path, { signal, lost } = {}) {
    return this.until(() => this.get(path, { signal }), { signal, lost });
  }

  // Attempt something until the server has answered; it must be harmless twice. `lost(error)` is called each time that
  // it has not. An error that is an answer is thrown, but for those that pass once contact has been lost.
  async until(attempt, { signal, lost = () => {} }) {
    let pause = FIRST_PAUSE;
    let isLost = false;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        signal?.throwIfAborted();
        isLost ||= isOutOfContact(error);
        if (!isLost || !isPassing(error)) throw error;
        lost(error);
      }
      await rest(pause, signal);
      signal?.throwIfAborted();
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  // Send something whose answer is a stream of events; call `tell(name, data)` for each. Resolves at its end.
  async stream(path, body, tell, options) {
    await read(await this.#answer("POST", path, body, options), tell);
  }

  // Follow the events of a thing until it is over, through lost connections, from the last number seen. A stream that
  // ends is no proof: a server that stops ends its streams too.
  async follow(path, tell, { signal, isOver, lost = () => {} }) {
    let last = null;
    let pause = FIRST_PAUSE;
    while (!signal.aborted) {
      let wrong = null;
      try {
        const headers = last === null ? {} : { "Last-Event-ID": last };
        const answer = await this.#answer("GET", path, undefined, { signal, headers });
        if (answer.status === 204) return;
        await read(answer, (name, data, id) => {
          pause = FIRST_PAUSE;
          last = id ?? last;
          tell(name, data);
        });
        if (isOver()) return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.status < 500 && !isPassing(error)) throw error;
        wrong = error;
      }
      lost(wrong);
      await rest(pause, signal);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  // Download a backup: by a link where a cookie speaks for us, else by one that works once.
  async downloadAddress(backupId) {
    const plain = `/api/backup/download/${encodeURIComponent(backupId)}`;
    if (!this.needsTicket) return this.api + plain;
    const ticket = await this.post(`/api/backups/${encodeURIComponent(backupId)}/download-ticket`);
    return new URL(ticket.url, new URL(this.api || "/", document.baseURI)).href;
  }

  async #json(method, path, body, options) {
    const answer = await this.#answer(method, path, body, options);
    if (answer.status === 204) return null;
    try {
      return await answer.json();
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      throw outOfContact(); // it broke off
    }
  }

  async #asked() {
    try {
      return typeof this.token === "function" ? await this.token() : this.token;
    } catch (error) {
      throw new ApiError(401, { code: "no_token", message: `There is no token for the server: ${error.message}` });
    }
  }

  async #answer(method, path, body, { signal, headers = {} } = {}) {
    const sent = { ...headers };
    const token = await this.#asked();
    if (token) sent.Authorization = `Bearer ${token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(this.api + path, {
        method,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: token ? "omit" : "same-origin",
        cache: "no-store",
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw outOfContact();
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => null);
    if (answer.status >= 500 && !told?.error) throw outOfContact(); // a proxy's: what the server does is not known
    throw new ApiError(answer.status, told?.error ?? { code: "unknown", message: `The server answered ${answer.status}.` });
  }
}

function isPassing(error) {
  return error instanceof ApiError && (PASSING.includes(error.status) || error.code === "idempotency_key_in_flight");
}

// Wait before the next attempt: shorter when the device has its network back, or its reader.
function rest(milliseconds, signal) {
  return new Promise((go) => {
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      over.abort();
      go();
    };
    const timer = setTimeout(end, milliseconds);
    window.addEventListener("online", end, { signal: over.signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && end(), { signal: over.signal });
    signal?.addEventListener("abort", end, { signal: over.signal });
  });
}

// Read server-sent events to their end.
async function read(answer, tell) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { value, done } = await heard(reader);
    if (done) return;
    const blocks = (left + value).split("\n\n");
    left = blocks.pop();
    for (const block of blocks) told(block, tell);
  }
}

async function heard(reader) {
  let timer;
  const silence = new Promise((_, stop) => {
    timer = setTimeout(() => stop(outOfContact()), LONGEST_SILENCE);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error.name === "AbortError" ? error : outOfContact();
  } finally {
    clearTimeout(timer);
  }
}

function told(block, tell) {
  let name = "message";
  let data = "";
  let id = null;
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon < 1) continue;
    const value = line.slice(colon + 2);
    if (line.startsWith("event")) name = value;
    else if (line.startsWith("data")) data += value;
    else if (line.startsWith("id")) id = value;
  }
  if (data) tell(name, JSON.parse(data), id);
}
