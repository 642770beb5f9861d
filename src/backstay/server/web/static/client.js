// The API: where it is, what lets one in, and how its errors and events come back.

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
// No answer; a token that may be renewed in another tab; too many at once.
const PASSING = [0, 401, 429];
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;

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

  // Send something whose answer is a stream of events; call `tell(name, data)` for each. Resolves at its end.
  async stream(path, body, tell, signal) {
    await read(await this.#answer("POST", path, body, { signal }), tell);
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
        if (error instanceof ApiError && error.status < 500 && !PASSING.includes(error.status)) throw error;
        wrong = error;
      }
      lost(wrong);
      await new Promise((go) => setTimeout(go, pause));
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
    return answer.status === 204 ? null : answer.json();
  }

  async #answer(method, path, body, { signal, headers = {} } = {}) {
    const sent = { ...headers };
    const token = typeof this.token === "function" ? await this.token() : this.token;
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
      throw new ApiError(0, UNREACHABLE);
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => null);
    throw new ApiError(answer.status, told?.error ?? { code: "unknown", message: `The server answered ${answer.status}.` });
  }
}

// Read server-sent events to their end.
async function read(answer, tell) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) told(block, tell);
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
