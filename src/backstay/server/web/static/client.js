// The client of the API: address, token, errors, events, and lost connections. A request without a response may have
// been executed, so it is not reported as failed but sent again with the same key.

const settings = { api: "", token: null };

// Configure all elements of a page, and return the former settings. `token` is a string, or a function that returns a
// string or a promise of one.
export function configure({ api, token }) {
  const former = { ...settings };
  if (api !== undefined) settings.api = api.replace(/\/$/, "");
  if (token !== undefined) settings.token = token;
  return former;
}

// The configured address, and the token of this moment. Throws an error if the page's function returns none.
export async function currentToken() {
  return { api: settings.api, token: await new Client().resolveToken() };
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

const UNREACHABLE = { code: "unreachable", message: "The server does not respond. Check that it is running, then try again." };
// No response; a token that may be renewed in another tab; too many requests; a database or issuer that is unavailable.
const TRANSIENT = [0, 401, 429, 503];
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5_000;
// Streams have heartbeats: a stream that is silent for this long is dead, although it was not closed.
const MAX_SILENCE_MS = 60_000;

// Whether contact is lost: no response from the server, only silence, a broken connection or a proxy's error.
export function isOutOfContact(error) {
  return error instanceof ApiError && error.status === 0;
}

export function outOfContact() {
  return new ApiError(0, UNREACHABLE);
}

// The key of one request, so that it runs once no matter how often it is sent.
export function newIdempotencyKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function jobPath(id) {
  return `/api/batches/${encodeURIComponent(id)}`;
}

export function backupPath(id) {
  return `/api/backups/${encodeURIComponent(id)}`;
}

export class Client {
  constructor(api, token) {
    this.api = (api ?? settings.api).replace(/\/$/, "");
    this.token = token ?? settings.token;
  }

  // A link cannot carry a token, so it needs a ticket instead.
  get needsTicket() {
    return this.token !== null && this.token !== undefined;
  }

  get(path, options) {
    return this.#json("GET", path, undefined, options);
  }

  post(path, body = {}, options) {
    return this.#json("POST", path, body, options);
  }

  patch(path, body, options) {
    return this.#json("PATCH", path, body, options);
  }

  delete(path, options) {
    return this.#json("DELETE", path, undefined, options);
  }

  // Run a request exactly once, and return the response. If contact is lost, it is sent again; see `until`.
  act(path, body = {}, { signal, lost, headers } = {}) {
    const keyed = { ...headers, "Idempotency-Key": newIdempotencyKey() };
    return this.until(() => this.post(path, body, { headers: keyed }), { signal, lost });
  }

  // Send a GET request; see `until`.
  ask(path, { signal, lost } = {}) {
    return this.until(() => this.get(path, { signal }), { signal, lost });
  }

  // Repeat an idempotent attempt until the server responds, and call `lost(error)` after each one without a response.
  // Throws error responses, except transient ones after contact has been lost.
  async until(attempt, { signal, lost = () => {} }) {
    let pause = FIRST_PAUSE_MS;
    let isLost = false;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        signal?.throwIfAborted();
        isLost ||= isOutOfContact(error);
        if (!isLost || !isTransient(error)) throw error;
        lost(error);
      }
      await sleep(pause, signal);
      signal?.throwIfAborted();
      pause = Math.min(2 * pause, MAX_PAUSE_MS);
    }
  }

  // Send a request whose response is a stream of events; call `onEvent(name, data)` for each. Resolves at its end.
  async stream(path, body, onEvent, options) {
    await read(await this.#response("POST", path, body, options), onEvent);
  }

  // Follow a stream of events until it is over, reconnecting after the last number seen. The end of the stream alone
  // proves nothing, because a server that stops also ends its streams.
  async follow(path, onEvent, { signal, isOver, lost = () => {} }) {
    let last = null;
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      let wrong = null;
      try {
        const headers = last === null ? {} : { "Last-Event-ID": last };
        const response = await this.#response("GET", path, undefined, { signal, headers });
        if (response.status === 204) return;
        await read(response, (name, data, id) => {
          pause = FIRST_PAUSE_MS;
          last = id ?? last;
          onEvent(name, data);
        });
        if (isOver()) return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.status < 500 && !isTransient(error)) throw error;
        wrong = error;
      }
      lost(wrong);
      await sleep(pause, signal);
      pause = Math.min(2 * pause, MAX_PAUSE_MS);
    }
  }

  // The address that downloads a backup once, without a token.
  async downloadAddress(backupId) {
    const ticket = await this.post(`${backupPath(backupId)}/download-ticket`);
    return new URL(ticket.url, new URL(this.api || "/", document.baseURI)).href;
  }

  async #json(method, path, body, options) {
    const response = await this.#response(method, path, body, options);
    if (response.status === 204) return null;
    try {
      return await response.json();
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      throw outOfContact(); // the response was interrupted
    }
  }

  async resolveToken() {
    try {
      return typeof this.token === "function" ? await this.token() : this.token;
    } catch (error) {
      throw new ApiError(401, { code: "no_token", message: `No token for the server: ${error.message}` });
    }
  }

  async #response(method, path, body, { signal, headers = {}, credentials } = {}) {
    const sent = { ...headers };
    const token = await this.resolveToken();
    if (token) sent.Authorization = `Bearer ${token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(this.api + path, {
        method,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: credentials ?? (token ? "omit" : "include"),
        cache: "no-store",
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw outOfContact();
    }
    if (response.ok) return response;
    const content = await response.json().catch(() => null);
    if (response.status >= 500 && !content?.error) throw outOfContact(); // from a proxy: the server's result is unknown
    throw new ApiError(response.status, content?.error ?? { code: "unknown", message: `The server responded with status ${response.status}.` });
  }
}

function isTransient(error) {
  return error instanceof ApiError && (TRANSIENT.includes(error.status) || error.code === "idempotency_key_in_flight");
}

// Wait before the next attempt, until the network or the user returns at the latest.
function sleep(milliseconds, signal) {
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

// Read server-sent events to the end of the stream.
async function read(response, onEvent) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await readChunk(reader);
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) dispatch(block, onEvent);
  }
}

async function readChunk(reader) {
  let timer;
  const silence = new Promise((_, stop) => {
    timer = setTimeout(() => stop(outOfContact()), MAX_SILENCE_MS);
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

function dispatch(block, onEvent) {
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
  if (data) onEvent(name, JSON.parse(data), id);
}
