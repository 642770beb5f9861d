// <resume-dialog>: finds unfinished jobs when a page loads, and offers to resume or discard them.
//
// Attributes: api, job-id (only this job), job-page (address of a page that takes ?id=).
// Properties: token. Methods: check(), close().
// Events: found {jobs}, resume {job, retryFailed} (cancelable, if the page resumes the job itself), resumed {job},
// later {jobs}, discard {job} (cancelable), discarded {jobId}, close. `resume` also has `limits`: concurrency and rpm, if set.

import { jobPath } from "./client.js";
import { capitalize, element, formatCount, formatDistance, formatNumber, printedId, shorten } from "./dom.js";
import { BackstayElement, problem, showLostContact } from "./element.js";
import { loadList, storeList } from "./stored_list.js";

const STORAGE_KEY = "backstay-later";

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
    this.check().catch((error) => this.emit("failed", { error }));
  }

  // Query unfinished jobs, and show those without workers. Resolves to these.
  async check({ again = false } = {}) {
    const only = this.getAttribute("job-id");
    const jobs = only === null ? await this.#incomplete() : [await this.client.get(jobPath(only), { signal: this.signal })];
    this.#jobs = jobs.filter((job) => isUnattended(job) && (again || !isPostponed(job)));
    this.#options = new Map(await Promise.all(this.#jobs.map(async (job) => [job, await this.#optionsOf(job)])));
    this.emit("found", { jobs: this.#jobs });
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

  // The ways to resume a job. If they cannot be loaded, resuming will report the error.
  async #optionsOf(job) {
    const fallback = { possible: true, confirm: null, reason: null, command: null };
    return this.client.get(`${jobPath(job.id)}/resume`, { signal: this.signal }).catch(() => fallback);
  }

  #open() {
    this.#asking = new AbortController();
    this.#dialog = element(
      "dialog",
      { "aria-labelledby": "heading", part: "dialog", onclose: () => this.#closed(), oncancel: () => this.#postpone() },
      element("h2", { id: "heading" }, this.#heading),
      element("p", { class: "muted" }, "Completed items are kept, and are not paid for again."),
      element("ul", { part: "jobs" }, this.#jobs.map((job) => this.#job(job))),
      element("div", { class: "row" }, element("button", { type: "button", part: "later", onclick: () => this.#later() }, "Later")),
    );
    this.show(this.#dialog);
    this.#dialog.showModal();
    this.#dialog.querySelector("button").focus();
  }

  #job(job) {
    const remaining = job.pending + job.running;
    const panel = element("div", { "aria-live": "polite" });
    const page = this.getAttribute("job-page");
    const name = shorten(printedId(job.id));
    const buttons = element("div", { class: "row" });
    const item = element(
      "li",
      { class: "job", part: "job" },
      element("h3", {}, page === null ? name : element("a", { href: `${page}?id=${encodeURIComponent(job.id)}` }, name)),
      element("p", { class: "muted" }, element("span", { class: "why" }, explainState(job)), ` ${capitalize(formatDistance(job.updatedAt))}.`),
      element("progress", { max: Math.max(1, job.planned), value: job.planned - remaining, "aria-label": `Progress of ${name}` }),
      element(
        "div",
        { class: "counts" },
        element("span", {}, `${formatNumber(job.completed)} done`),
        element("span", {}, `${formatNumber(job.failed)} failed`),
        element("span", {}, `${formatNumber(remaining)} left`),
        element("span", {}, `${formatNumber(job.tokensIn + job.tokensOut)} tokens used`),
      ),
      panel,
      buttons,
    );
    this.#choices(job, buttons, panel);
    return item;
  }

  #choices(job, buttons, panel) {
    const act = (label, kind, action) => element("button", { type: "button", class: kind, onclick: () => this.#try(buttons, panel, action) }, label);
    const discard = element("button", { type: "button", class: "quiet", onclick: () => this.#ask(job, buttons, panel) }, "Discard…");
    const options = this.#options.get(job);
    if (!options.possible) {
      const command = options.command === null ? "." : [": ", element("code", { part: "command" }, options.command)];
      panel.replaceChildren(element("p", { class: "muted" }, options.reason, ...command));
      buttons.replaceChildren(discard);
      return;
    }
    const resume = (retryFailed) =>
      options.confirm === null
        ? this.#resume(job, retryFailed, panel, limits)
        : this.#askForFunction(job, buttons, panel, () => this.#resume(job, retryFailed, panel, limits, options.confirm));
    const limits = {
      concurrency: limit("Concurrent items", job.concurrency, "server default"),
      ...(job.recipe !== null && { rpm: limit("Maximum requests per minute", job.rpm, "no limit") }),
    };
    buttons.replaceChildren(
      element("div", { class: "limits" }, Object.values(limits).map((input) => input.parentElement)),
      act("Resume", "primary", () => resume(false)),
      ...(job.failed > 0 ? [act(`Resume and retry ${formatCount(job.failed, "failed item")}`, "", () => resume(true))] : []),
      discard,
    );
  }

  async #try(buttons, panel, action) {
    const all = [...buttons.querySelectorAll("button")];
    for (const button of all) button.disabled = true;
    try {
      await action();
    } catch (error) {
      panel.replaceChildren(problem(error));
      for (const button of all) button.disabled = false;
    }
  }

  // Resolves to the response, or to null if it is no longer needed.
  async #act(job, action, body, panel, outcome) {
    const signal = AbortSignal.any([this.signal, this.#asking.signal]);
    const lost = (error) => showLostContact(panel, error, outcome);
    try {
      return await this.client.act(`${jobPath(job.id)}/${action}`, body, { signal, lost });
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  async #resume(job, retryFailed, panel, inputs, confirm) {
    // An emptied field removes the limit, except for concurrent items, which always have one.
    const filled = Object.entries(inputs).filter(([name, input]) => input.value !== "" || (name === "rpm" && job.rpm !== null));
    const invalid = Object.values(inputs).find((input) => !input.checkValidity());
    if (invalid) throw new Error(`${invalid.parentElement.textContent}: ${invalid.validationMessage}`);
    const limits = Object.fromEntries(filled.map(([name, input]) => [name, Number(input.value)]));
    if (!this.emit("resume", { job, retryFailed, limits }, { cancelable: true })) return this.close();
    const resumed = await this.#act(job, "resume", { retryFailed, ...limits, ...(confirm && { confirm }) }, panel, "it was resumed");
    if (resumed === null) return;
    this.#forget(job);
    this.emit("resumed", { job: resumed });
  }

  // A button that returns from a question to the actions.
  #backButton(label, job, buttons, panel) {
    return element("button", { type: "button", onclick: () => { panel.replaceChildren(); this.#choices(job, buttons, panel); buttons.querySelector("button").focus(); } }, label);
  }

  #askForFunction(job, buttons, panel, action) {
    const no = this.#backButton("Not now", job, buttons, panel);
    const name = this.#options.get(job).confirm;
    const yes = element("button", { type: "button", class: "primary", onclick: () => this.#try(buttons, panel, action) }, `Resume with ${name}`);
    panel.replaceChildren(element("p", {}, "A command started this batch. To resume it, this server calls the function ", element("code", {}, name), " from the folder that the server runs in, like the command did."));
    buttons.replaceChildren(yes, no);
    no.focus();
  }

  #ask(job, buttons, panel) {
    const no = this.#backButton("Keep batch", job, buttons, panel);
    const yes = element("button", { type: "button", class: "danger", onclick: () => this.#try(buttons, panel, () => this.#discard(job, panel)) }, "Discard");
    const stays = formatCount(job.completed, "conversation");
    panel.replaceChildren(element("p", {}, `Discard this batch? The remaining items will not be generated. Generated conversations stay in the library: ${stays}.`));
    buttons.replaceChildren(yes, no);
    no.focus();
  }

  async #discard(job, panel) {
    if (!this.emit("discard", { job }, { cancelable: true })) return;
    if ((await this.#act(job, "discard", {}, panel, "it was discarded")) === null) return;
    this.#forget(job);
    this.emit("discarded", { jobId: job.id });
  }

  // Remove a job from the list; removing the last one closes the dialog.
  #forget(job) {
    const index = this.#jobs.indexOf(job);
    this.#jobs = this.#jobs.filter((other) => other !== job);
    if (this.#jobs.length === 0) return this.close();
    this.#dialog.querySelectorAll(".job")[index].remove();
    this.#dialog.querySelector("#heading").textContent = this.#heading;
    this.#dialog.querySelector("button").focus();
  }

  #later() {
    this.#postpone();
    this.close();
  }

  #postpone() {
    postpone(this.#jobs);
    this.emit("later", { jobs: this.#jobs });
  }

  #closed() {
    this.#asking.abort();
    this.show();
    this.emit("close");
  }
}

// An input for a limit of a job, inside its label.
function limit(label, value, placeholder) {
  const input = element("input", { type: "number", min: 1, placeholder, value: value ?? "" });
  element("label", {}, label, input);
  return input;
}

function isUnattended(job) {
  return ["pending", "interrupted", "paused"].includes(job.state) && job.workers === 0 || job.state === "interrupted";
}

function explainState(job) {
  if (job.pause !== null) return `Paused: ${shorten(job.pause.message)}.`.replace(/\.\.$/, ".");
  return job.state === "interrupted" ? "Its worker stopped." : "Not started yet.";
}

// A postponed job is not offered again in this tab until it has changed.
function isPostponed(job) {
  return loadList(STORAGE_KEY).includes(versionOf(job));
}

function postpone(jobs) {
  storeList(STORAGE_KEY, [...loadList(STORAGE_KEY), ...jobs.map(versionOf)].slice(-100));
}

function versionOf(job) {
  return `${job.updatedAt} ${job.id}`;
}

customElements.define("resume-dialog", ResumeDialog);
