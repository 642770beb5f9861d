// <resume-dialog>: finds unfinished jobs when a page loads, and asks what is to become of them.
//
// Attributes: api, job-id (only this job), job-page (address of a page that takes ?id=).
// Properties: token. Methods: look(), close().
// Events: found {jobs}, resume {job, retryFailed} (cancelable: the page then resumes itself), resumed {job},
// later {jobs}, discard {job} (cancelable), discarded {jobId}, close. `resume` also says `limits`: concurrency and rpm, where they were given.

import { clipped, counted, distance, element, number, printedId } from "./dom.js";
import { BackstayElement, problem, sayLost } from "./element.js";

const PUT_OFF = "backstay-later";

const RULES = `
.job { padding: 1rem 0; border-top: 1px solid var(--_line); }
.job:last-of-type { border-bottom: 1px solid var(--_line); margin-bottom: 1.2rem; }
.counts { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin: 0.4rem 0 0.6rem; font-variant-numeric: tabular-nums; }
.why { color: var(--_warn); }
progress { margin: 0.5rem 0 0.6rem; }
.limits { width: 100%; display: flex; flex-wrap: wrap; gap: 0.4rem 1.1rem; }
.limits label { display: flex; align-items: center; gap: 0.5rem; }
.limits input { width: 7rem; }
`;

export class ResumeDialog extends BackstayElement {
  #dialog = null;
  #jobs = [];
  #options = new Map();
  #asking = null;

  constructor() {
    super(RULES);
  }

  start() {
    this.look().catch((error) => this.tell("failed", { error }));
  }

  // Ask the API for unfinished jobs, and show those that nobody works on. Resolves to them.
  async look({ again = false } = {}) {
    const only = this.getAttribute("job-id");
    const found = only === null ? await this.#incomplete() : [await this.client.get(`/api/batches/${encodeURIComponent(only)}`, { signal: this.signal })];
    this.#jobs = found.filter((job) => isLeft(job) && (again || !isPutOff(job)));
    this.#options = new Map(await Promise.all(this.#jobs.map(async (job) => [job, await this.#optionsOf(job)])));
    this.tell("found", { jobs: this.#jobs });
    if (this.#jobs.length > 0 && this.isConnected) this.#open();
    return this.#jobs;
  }

  close() {
    this.#dialog?.close();
  }

  get #heading() {
    return this.#jobs.length > 1 ? `${this.#jobs.length} batches are not finished` : "A batch is not finished";
  }

  async #incomplete() {
    const { jobs } = await this.client.get("/api/batches?incomplete=true&limit=20", { signal: this.signal });
    return jobs;
  }

  // How it can be resumed. What cannot be known just now is seen when it is tried.
  async #optionsOf(job) {
    const otherwise = { possible: true, confirm: null, reason: null, command: null };
    return this.client.get(`/api/batches/${encodeURIComponent(job.id)}/resume`, { signal: this.signal }).catch(() => otherwise);
  }

  #open() {
    this.#asking = new AbortController();
    this.#dialog = element(
      "dialog",
      { "aria-labelledby": "heading", part: "dialog", onclose: () => this.#closed(), oncancel: () => this.#putOff() },
      element("h2", { id: "heading" }, this.#heading),
      element("p", { class: "muted" }, "Everything that was completed is kept, and is not paid for again."),
      element("ul", { part: "jobs" }, this.#jobs.map((job) => this.#job(job))),
      element("div", { class: "row" }, element("button", { type: "button", part: "later", onclick: () => this.#later() }, "Later")),
    );
    this.show(this.#dialog);
    this.#dialog.showModal();
    this.#dialog.querySelector("button").focus();
  }

  #job(job) {
    const left = job.pending + job.running;
    const place = element("div", { "aria-live": "polite" });
    const page = this.getAttribute("job-page");
    const name = clipped(printedId(job.id));
    const buttons = element("div", { class: "row" });
    const item = element(
      "li",
      { class: "job", part: "job" },
      element("h3", {}, page === null ? name : element("a", { href: `${page}?id=${encodeURIComponent(job.id)}` }, name)),
      element("p", { class: "muted" }, element("span", { class: "why" }, why(job)), ` ${capital(distance(job.updatedAt))}.`),
      element("progress", { max: Math.max(1, job.planned), value: job.planned - left, "aria-label": `Progress of ${name}` }),
      element(
        "div",
        { class: "counts" },
        element("span", {}, `${number(job.completed)} done`),
        element("span", {}, `${number(job.failed)} failed`),
        element("span", {}, `${number(left)} left`),
        element("span", {}, `${number(job.tokensIn + job.tokensOut)} tokens spent`),
      ),
      place,
      buttons,
    );
    this.#choices(job, item, buttons, place);
    return item;
  }

  #choices(job, item, buttons, place) {
    const act = (label, kind, action) => element("button", { type: "button", class: kind, onclick: () => this.#try(buttons, place, action) }, label);
    const discard = element("button", { type: "button", class: "quiet", onclick: () => this.#ask(job, item, buttons, place) }, "Discard…");
    const options = this.#options.get(job);
    if (!options.possible) {
      const command = options.command === null ? "." : [": ", element("code", { part: "command" }, options.command)];
      place.replaceChildren(element("p", { class: "muted" }, options.reason, ...command));
      buttons.replaceChildren(discard);
      return;
    }
    const resume = (retryFailed) =>
      options.confirm === null
        ? this.#resume(job, retryFailed, place, limits)
        : this.#askForFunction(job, item, buttons, place, () => this.#resume(job, retryFailed, place, limits, options.confirm));
    const limits = {
      concurrency: limit("Items at once", job.concurrency, 10_000, "server's default"),
      ...(job.recipe !== null && { rpm: limit("Requests a minute at most", job.rpm, 10_000_000, "no bound") }),
    };
    buttons.replaceChildren(
      element("div", { class: "limits" }, Object.values(limits).map((input) => input.parentElement)),
      act("Resume", "primary", () => resume(false)),
      ...(job.failed > 0 ? [act(`Resume, and retry ${counted(job.failed, "failed item")}`, "", () => resume(true))] : []),
      discard,
    );
  }

  async #try(buttons, place, action) {
    const all = [...buttons.querySelectorAll("button")];
    for (const button of all) button.disabled = true;
    try {
      await action();
    } catch (error) {
      place.replaceChildren(problem(error));
      for (const button of all) button.disabled = false;
    }
  }

  // Resolves to the answer, or to null when it is no longer needed.
  async #act(job, action, asked, place, what) {
    const signal = AbortSignal.any([this.signal, this.#asking.signal]);
    const lost = (error) => sayLost(place, error, what);
    try {
      return await this.client.act(`/api/batches/${encodeURIComponent(job.id)}/${action}`, asked, { signal, lost });
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  async #resume(job, retryFailed, place, inputs, confirm) {
    // A limit whose field was emptied is lifted. Calls in flight always have one.
    const given = Object.entries(inputs).filter(([name, input]) => input.value !== "" || (name === "rpm" && job.rpm !== null));
    const wrong = Object.values(inputs).find((input) => !input.checkValidity());
    if (wrong) throw new Error(`${wrong.parentElement.textContent}: ${wrong.validationMessage}`);
    const limits = Object.fromEntries(given.map(([name, input]) => [name, Number(input.value)]));
    if (!this.tell("resume", { job, retryFailed, limits }, { cancelable: true })) return this.close();
    const resumed = await this.#act(job, "resume", { retryFailed, ...limits, ...(confirm && { confirm }) }, place, "it was resumed");
    if (resumed === null) return;
    this.#forget(job);
    this.tell("resumed", { job: resumed });
  }

  // Back from a question to what can be done.
  #no(label, job, item, buttons, place) {
    return element("button", { type: "button", onclick: () => { place.replaceChildren(); this.#choices(job, item, buttons, place); buttons.querySelector("button").focus(); } }, label);
  }

  #askForFunction(job, item, buttons, place, action) {
    const no = this.#no("Not now", job, item, buttons, place);
    const name = this.#options.get(job).confirm;
    const yes = element("button", { type: "button", class: "primary", onclick: () => this.#try(buttons, place, action) }, `Resume with ${name}`);
    place.replaceChildren(element("p", {}, "It was started by a command. This server would call its function ", element("code", {}, name), ", from the folder that the server runs in, as the command did."));
    buttons.replaceChildren(yes, no);
    no.focus();
  }

  #ask(job, item, buttons, place) {
    const no = this.#no("Keep it", job, item, buttons, place);
    const yes = element("button", { type: "button", class: "danger", onclick: () => this.#try(buttons, place, () => this.#discard(job, place)) }, "Discard");
    const made = counted(job.completed, "conversation");
    place.replaceChildren(element("p", {}, `Discard it? What is left will not be made. The ${made} that it made stay.`));
    buttons.replaceChildren(yes, no);
    no.focus();
  }

  async #discard(job, place) {
    if (!this.tell("discard", { job }, { cancelable: true })) return;
    if ((await this.#act(job, "discard", {}, place, "it was discarded")) === null) return;
    this.#forget(job);
    this.tell("discarded", { jobId: job.id });
  }

  // Take a job off the list; the last one closes the dialog.
  #forget(job) {
    const place = this.#jobs.indexOf(job);
    this.#jobs = this.#jobs.filter((one) => one !== job);
    if (this.#jobs.length === 0) return this.close();
    this.#dialog.querySelectorAll(".job")[place].remove();
    this.#dialog.querySelector("#heading").textContent = this.#heading;
    this.#dialog.querySelector("button").focus();
  }

  #later() {
    this.#putOff();
    this.close();
  }

  #putOff() {
    putOff(this.#jobs);
    this.tell("later", { jobs: this.#jobs });
  }

  #closed() {
    this.#asking.abort();
    this.show();
    this.tell("close");
  }
}

// A field of a limit that a job keeps, inside of its label.
function limit(label, value, most, otherwise) {
  const input = element("input", { type: "number", min: 1, max: most, placeholder: otherwise, value: value ?? "" });
  element("label", {}, label, input);
  return input;
}

function isLeft(job) {
  return ["pending", "interrupted", "paused"].includes(job.state) && job.workers === 0 || job.state === "interrupted";
}

function why(job) {
  if (job.pause !== null) return `Paused: ${clipped(job.pause.message)}.`.replace(/\.\.$/, ".");
  return job.state === "interrupted" ? "Whatever worked on it stopped." : "Nobody has begun to work on it.";
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

// What was put off is not asked about again in this tab, until it has changed.
function marks() {
  try {
    return JSON.parse(sessionStorage.getItem(PUT_OFF) ?? "[]");
  } catch {
    return [];
  }
}

function mark(job) {
  return `${job.updatedAt} ${job.id}`;
}

function isPutOff(job) {
  return marks().includes(mark(job));
}

function putOff(jobs) {
  try {
    sessionStorage.setItem(PUT_OFF, JSON.stringify([...marks(), ...jobs.map(mark)].slice(-100)));
  } catch {
    // A page without storage asks each time.
  }
}

customElements.define("resume-dialog", ResumeDialog);
