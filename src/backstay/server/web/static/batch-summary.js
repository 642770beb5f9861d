// <batch-summary>: where a job stands, live.
//
// Attributes: api, job-id. Properties: token; progress {totalItems, completedItems, failedItems, pendingItems,
// progressPercentage} shows numbers of the page's own, without an API.
// Events: progress {job, rate, etaSeconds}, state {job}, finished {job}, retry {itemIds} and skip {itemIds} (cancelable), retried
// {job}, skipped {job}.

import { clipped, counted, drawing, element, number, printedId, span } from "./dom.js";
import { BackstayElement, lostContact, problem, sayLost, skeleton } from "./element.js";

const AT_REST = ["completed", "completed_with_failures", "cancelled"];
const SHOWN_FAILED = 50;
const POINTS = 60;
const WIDTH = 300;
const HEIGHT = 56;

const RULES = `
.bar { display: flex; gap: 0.75rem; align-items: center; margin: 0 0 1rem; }
.bar progress { flex: 1; }
.bar strong { font-variant-numeric: tabular-nums; min-width: 3.2em; text-align: right; }
figure { margin: 0 0 1rem; }
figcaption { font-size: 0.84rem; color: var(--_muted); }
svg { width: 100%; height: 56px; display: block; }
.line { fill: none; stroke: var(--_accent); stroke-width: 2; vector-effect: non-scaling-stroke; }
.under { fill: var(--_accent-soft); }
.row { margin-bottom: 0.6rem; }
h2 { margin: 0; font-size: 1.05rem; }
ul, p:last-child { margin-bottom: 0; }
.failed { border-top: 1px solid var(--_line); padding: 0.6rem 0; display: flex; gap: 0.6rem 1rem; align-items: start; justify-content: space-between; }
.failed > div { min-width: 0; overflow-wrap: anywhere; }
.reason { color: var(--_danger); font-size: 0.92rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;

export class BatchSummary extends BackstayElement {
  static observedAttributes = ["job-id"];

  #job = null;
  #failed = new Map();
  #rates = [];
  #parts = null;
  #announced = -1;
  #following = null;
  // What has been asked for and may have been done, while there is no answer.
  #asked = null;
  #stateWhenAsked = null; // while a question stands: the state of the job it is about

  constructor() {
    super(RULES);
  }

  get progress() {
    return this.#job;
  }

  set progress(given) {
    this.#build();
    this.#take({
      planned: given.totalItems,
      completed: given.completedItems,
      failed: given.failedItems,
      pending: given.pendingItems,
      running: 0,
      percentage: given.progressPercentage,
      state: given.pendingItems > 0 ? "running" : "completed",
      tokensIn: 0,
      tokensOut: 0,
      processor: "",
    }, null, null);
  }

  start() {
    if (this.getAttribute("job-id") !== null) this.#follow();
  }

  attributeChangedCallback(name, before, now) {
    if (now !== null && now !== before && this.isStarted) this.#follow();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#following?.abort();
  }

  get #path() {
    return `/api/batches/${encodeURIComponent(this.getAttribute("job-id"))}`;
  }

  async #follow() {
    this.#following?.abort();
    const following = (this.#following = new AbortController());
    this.#failed.clear();
    this.#rates = [];
    this.#announced = -1;
    this.#parts = null;
    this.show(skeleton("", "short", ""));
    const { signal } = following;
    const lost = (error) => this.#lost(error);
    try {
      const [job] = await Promise.all([this.client.ask(this.#path, { signal, lost }), this.#collectFailed({ signal, lost })]);
      this.#build();
      this.#take(job, null, null);
      await this.client.follow(`${this.#path}/events`, (name, data) => this.#told(name, data), {
        signal,
        isOver: () => AT_REST.includes(this.#job.state) && this.#job.workers === 0,
        lost,
      });
      if (signal.aborted) return;
      // The end may have come while nobody listened: what is over then has no events left to tell it.
      this.#announced = -1;
      this.#take(await this.client.ask(this.#path, { signal, lost }), null, null);
      this.tell("state", { job: this.#job, id: this.#job.id, state: this.#job.state, pause: this.#job.pause });
      this.tell("finished", { job: this.#job });
    } catch (error) {
      if (!signal.aborted) this.show(problem(error));
    }
  }

  async #collectFailed(options) {
    const page = await this.client.ask(`${this.#path}/failed?limit=${SHOWN_FAILED}`, options);
    for (const item of page.items) this.#failed.set(item.id, item);
  }

  #told(name, data) {
    if (name === "progress") {
      this.#take(data.job, data.rate, data.etaSeconds);
      this.tell("progress", data);
    } else if (name === "state") {
      this.tell("state", { job: this.#job, ...data });
      // What failed before the events began is in none of them.
      this.#collectFailed({ signal: this.#following.signal }).then(() => this.#list(), () => {});
    } else if (name === "item_failed" && this.#failed.size < SHOWN_FAILED) {
      this.#failed.set(data.id, data);
      this.#list();
    }
  }

  #build() {
    const value = (name) => {
      const dd = element("dd", { part: `value ${name}` }, "–");
      return [dd, element("div", {}, element("dt", {}, name[0].toUpperCase() + name.slice(1)), dd)];
    };
    const names = ["total", "completed", "failed", "pending", "rate", "time left", "tokens"];
    const made = Object.fromEntries(names.map((name) => [name, value(name)]));
    const bar = element("progress", { max: 1, value: 0, "aria-label": "Progress" });
    const percentage = element("strong", { part: "percentage" }, "0%");
    const chart = element("figure", { hidden: true, part: "chart" });
    const said = element("p", { class: "muted", part: "status", role: "status" });
    const failed = element("div", { part: "failures" });
    this.#parts = { values: Object.fromEntries(names.map((name) => [name, made[name][0]])), bar, percentage, chart, said, failed };
    this.show(
      element("dl", { class: "figures", part: "figures" }, names.map((name) => made[name][1])),
      element("div", { class: "bar" }, bar, percentage),
      said,
      chart,
      failed,
    );
  }

  #take(job, rate, eta) {
    this.#job = job;
    const { values, bar, percentage } = this.#parts;
    const left = job.pending + job.running;
    values.total.textContent = number(job.planned);
    values.completed.textContent = number(job.completed);
    values.failed.textContent = number(job.failed);
    values.pending.textContent = number(left);
    values.rate.textContent = rate ? speed(rate) : "–";
    values["time left"].textContent = left === 0 ? "none" : eta ? span(eta) : "–";
    values.tokens.textContent = number(job.tokensIn + job.tokensOut);
    bar.max = Math.max(1, job.planned);
    bar.value = job.planned - left;
    percentage.textContent = `${Math.floor(job.percentage)}%`;
    if (rate !== null) this.#plot(rate);
    this.#announce();
    this.#list();
  }

  // A screen reader hears every tenth, not every item.
  #announce() {
    if (this.#hasQuestion()) return;
    if (this.#job.waiting) {
      this.#announced = -1;
      return this.#say(waiting(this.#job.waiting), "lost");
    }
    const tenth = Math.floor(this.#job.percentage / 10);
    const key = `${this.#job.state} ${tenth}`;
    if (key === this.#announced) return;
    this.#announced = key;
    this.#say(`${state(this.#job)}: ${Math.floor(this.#job.percentage)}% of ${counted(this.#job.planned, "item")}.`);
  }

  #lost(error) {
    if (this.#parts === null) return sayLost(this.shadowRoot, error);
    this.#announced = -1;
    this.#say(lostContact(error, this.#asked), "lost");
  }

  #say(text, kind = "muted") {
    if (this.#parts.said.textContent === text) return;
    this.#parts.said.className = kind;
    this.#parts.said.textContent = text;
  }

  #plot(rate) {
    this.#rates.push(rate);
    this.#rates = this.#rates.slice(-POINTS);
    const most = Math.max(...this.#rates);
    if (this.#rates.length < 3 || most === 0) return;
    const points = this.#rates.map((one, place) => `${((place * WIDTH) / (this.#rates.length - 1)).toFixed(1)},${(HEIGHT - 3 - (one / most) * (HEIGHT - 8)).toFixed(1)}`);
    const label = `Items a second, of late: ${rate.toFixed(1)} now, ${most.toFixed(1)} at most`;
    this.#parts.chart.hidden = false;
    this.#parts.chart.replaceChildren(
      drawing(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        drawing("polygon", { class: "under", points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }),
        drawing("polyline", { class: "line", points: points.join(" ") }),
      ),
      element("figcaption", {}, `Items a second; ${most.toFixed(1)} at most`),
    );
  }

  #list() {
    const { failed } = this.#parts;
    const count = this.#job.failed;
    const items = [...this.#failed.values()].slice(0, count);
    if (this.#hasQuestion() || failed.dataset.shown === `${count} ${items.length} ${this.#job.state}`) return;
    failed.dataset.shown = `${count} ${items.length} ${this.#job.state}`;
    if (count === 0 || items.length === 0) return failed.replaceChildren();
    const canSkip = this.getAttribute("job-id") !== null && this.#job.processor !== "taken-over" && this.#job.state !== "cancelled";
    const canRetry = this.getAttribute("job-id") !== null && !["caller", "taken-over"].includes(this.#job.processor) && this.#job.state !== "cancelled";
    failed.replaceChildren(
      element(
        "div",
        { class: "row" },
        element("h2", {}, counted(count, "failed item")),
        canRetry && element("button", { type: "button", class: "small", onclick: (event) => this.#retry(event.currentTarget, null) }, "Retry all"),
      ),
      element("ul", {}, items.map((item) => this.#failure(item, canRetry, canSkip))),
      count > items.length && element("p", { class: "muted" }, `and ${counted(count - items.length, "other")}`) || "",
    );
  }

  #failure(item, canRetry, canSkip) {
    const name = clipped(item.topic ?? printedId(item.id), 120);
    return element(
      "li",
      { class: "failed", part: "failure" },
      element("div", {}, element("div", {}, name), element("div", { class: "reason" }, element("code", {}, item.errorCode), " ", clipped(item.errorMessage))),
      element(
        "div",
        { class: "row" },
        canRetry && element("button", { type: "button", class: "small", onclick: (event) => this.#retry(event.currentTarget, [item.id]) }, "Retry", element("span", { class: "unseen" }, ` ${name}`)),
        canSkip && element("button", { type: "button", class: "small", onclick: (event) => this.#skip(event.currentTarget, [item.id]) }, "Skip", element("span", { class: "unseen" }, ` ${name}`)),
      ),
    );
  }

  async #retry(button, itemIds, confirm) {
    if (!this.tell("retry", { itemIds }, { cancelable: true })) return;
    // One request: the items it puts back change the state, for which a page may reload.
    const asked = { ...(itemIds === null ? { retryFailed: true } : { retryItems: itemIds }), ...(confirm && { confirm }) };
    const confirmed = (name) => this.#retry(button, itemIds, name);
    await this.#act(button, "resume", asked, "they are tried again", (job) => this.tell("retried", { job }), confirmed);
  }

  async #skip(button, itemIds) {
    if (!this.tell("skip", { itemIds }, { cancelable: true })) return;
    await this.#act(button, "skip", { itemIds }, "it is skipped", ({ job }) => this.tell("skipped", { job }));
  }

  // A function that the server's settings do not name is called when the button is pressed once more, with its name on it.
  #ask(button, error, confirmed) {
    const name = error.details.processor;
    const again = element("button", { type: "button", class: "small", onclick: () => confirmed(name) }, `Call ${name}`);
    // The list may have been drawn anew since the button was pressed.
    if (button.isConnected) button.replaceWith(again);
    else this.#parts.failed.prepend(again);
    again.focus();
    this.#stateWhenAsked = this.#job.state;
    this.#say(`It was started by a command: this server would call its function ${name}.`);
  }

  #hasQuestion() {
    return this.#stateWhenAsked !== null && this.#stateWhenAsked === this.#job.state;
  }

  async #act(button, action, asked, what, done, confirmed) {
    const { signal } = this;
    this.#stateWhenAsked = null;
    button.disabled = true;
    this.#asked = what;
    try {
      done(await this.client.act(`${this.#path}/${action}`, asked, { signal, lost: (error) => this.#lost(error) }));
      this.#asked = null;
      await this.#follow();
    } catch (error) {
      if (signal.aborted) return;
      this.#asked = null;
      button.disabled = false;
      if (error.code === "confirmation_needed" && confirmed) return this.#ask(button, error, confirmed);
      this.#say(error.message, "problem");
    }
  }
}

function state(job) {
  const words = job.state.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function speed(rate) {
  if (rate < 0.1) return `${(60 * rate).toFixed(1)}/min`;
  return `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))}/s`;
}

function waiting({ reason, detail, until }) {
  return `${reason}; retrying at ${new Date(until).toLocaleTimeString()} (${detail})`;
}

customElements.define("batch-summary", BatchSummary);
