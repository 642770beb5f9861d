// <batch-summary>: the live progress of a job.
//
// Attributes: api, job-id. Properties: token; progress {totalItems, completedItems, failedItems, pendingItems,
// progressPercentage} displays numbers that the page supplies, without an API.
// Events: progress {job, rate, etaSeconds}, state {job}, finished {job}, retry {itemIds} and skip {itemIds} (cancelable), retried
// {job}, skipped {job}.

import { jobPath } from "./client.js";
import { capitalize, element, formatCount, formatDuration, formatNumber, printedId, shorten, svgElement } from "./dom.js";
import { BackstayElement, lostContact, problem, showLostContact, showStatus, skeleton } from "./element.js";

const AT_REST = ["completed", "completed_with_failures", "cancelled"];
const MAX_LISTED_FAILURES = 50;
const MAX_POINTS = 60;
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
  #nodes = null;
  #announced = -1;
  #following = null;
  // The action whose response is still unknown.
  #pendingAction = null;
  #stateWhenAsked = null; // while a confirmation is pending: the state of the job at that time

  constructor() {
    super(RULES);
  }

  get progress() {
    return this.#job;
  }

  set progress(progress) {
    this.#build();
    this.#update({
      planned: progress.totalItems,
      completed: progress.completedItems,
      failed: progress.failedItems,
      pending: progress.pendingItems,
      running: 0,
      percentage: progress.progressPercentage,
      state: progress.pendingItems > 0 ? "running" : "completed",
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
    return jobPath(this.getAttribute("job-id"));
  }

  async #follow() {
    this.#following?.abort();
    const following = (this.#following = new AbortController());
    this.#failed.clear();
    this.#rates = [];
    this.#announced = -1;
    this.#nodes = null;
    this.show(skeleton("", "short", ""));
    const { signal } = following;
    const lost = (error) => this.#lost(error);
    try {
      const [job] = await Promise.all([this.client.ask(this.#path, { signal, lost }), this.#collectFailed({ signal, lost })]);
      this.#build();
      this.#update(job, null, null);
      await this.client.follow(`${this.#path}/events`, (name, data) => this.#onEvent(name, data), {
        signal,
        isOver: () => AT_REST.includes(this.#job.state) && this.#job.workers === 0,
        lost,
      });
      if (signal.aborted) return;
      // The job may have ended during a disconnect; there are then no more events to report it.
      this.#announced = -1;
      this.#update(await this.client.ask(this.#path, { signal, lost }), null, null);
      this.emit("state", { job: this.#job, id: this.#job.id, state: this.#job.state, pause: this.#job.pause });
      this.emit("finished", { job: this.#job });
    } catch (error) {
      if (!signal.aborted) this.show(problem(error));
    }
  }

  async #collectFailed(options) {
    const page = await this.client.ask(`${this.#path}/failed?limit=${MAX_LISTED_FAILURES}`, options);
    for (const item of page.items) this.#failed.set(item.id, item);
  }

  #onEvent(name, data) {
    if (name === "progress") {
      this.#update(data.job, data.rate, data.etaSeconds);
      this.emit("progress", data);
    } else if (name === "state") {
      this.emit("state", { job: this.#job, ...data });
      // Items that failed before the event stream began are not in it.
      this.#collectFailed({ signal: this.#following.signal }).then(() => this.#list(), () => {});
    } else if (name === "item_failed" && this.#failed.size < MAX_LISTED_FAILURES) {
      this.#failed.set(data.id, data);
      this.#list();
    }
  }

  #build() {
    const names = ["total", "completed", "failed", "pending", "rate", "time left", "tokens"];
    const values = Object.fromEntries(names.map((name) => [name, element("dd", { part: `value ${name}` }, "–")]));
    const figures = names.map((name) => element("div", {}, element("dt", {}, capitalize(name)), values[name]));
    const bar = element("progress", { max: 1, value: 0, "aria-label": "Progress" });
    const percentage = element("strong", { part: "percentage" }, "0%");
    const chart = element("figure", { hidden: true, part: "chart" });
    const status = element("p", { class: "muted", part: "status", role: "status" });
    const failed = element("div", { part: "failures" });
    this.#nodes = { values, bar, percentage, chart, status, failed };
    this.show(
      element("dl", { class: "figures", part: "figures" }, figures),
      element("div", { class: "bar" }, bar, percentage),
      status,
      chart,
      failed,
    );
  }

  #update(job, rate, eta) {
    this.#job = job;
    const { values, bar, percentage } = this.#nodes;
    const remaining = job.pending + job.running;
    values.total.textContent = formatNumber(job.planned);
    values.completed.textContent = formatNumber(job.completed);
    values.failed.textContent = formatNumber(job.failed);
    values.pending.textContent = formatNumber(remaining);
    values.rate.textContent = rate ? formatRate(rate) : "–";
    values["time left"].textContent = remaining === 0 ? "none" : eta ? formatDuration(eta) : "–";
    values.tokens.textContent = formatNumber(job.tokensIn + job.tokensOut);
    bar.max = Math.max(1, job.planned);
    bar.value = job.planned - remaining;
    percentage.textContent = `${Math.floor(job.percentage)}%`;
    if (rate !== null) this.#plot(rate);
    this.#announce();
    this.#list();
  }

  // Announced to screen readers at every tenth, not at every item.
  #announce() {
    if (this.#isConfirming()) return;
    if (this.#job.waiting) {
      this.#announced = -1;
      return showStatus(this.#nodes.status, waiting(this.#job.waiting), "lost");
    }
    const tenth = Math.floor(this.#job.percentage / 10);
    const key = `${this.#job.state} ${tenth}`;
    if (key === this.#announced) return;
    this.#announced = key;
    showStatus(this.#nodes.status, `${capitalize(this.#job.state.replaceAll("_", " "))}: ${Math.floor(this.#job.percentage)}% of ${formatCount(this.#job.planned, "item")}.`);
  }

  #lost(error) {
    if (this.#nodes === null) return showLostContact(this.shadowRoot, error);
    this.#announced = -1;
    showStatus(this.#nodes.status, lostContact(error, this.#pendingAction), "lost");
  }

  #plot(rate) {
    this.#rates.push(rate);
    this.#rates = this.#rates.slice(-MAX_POINTS);
    const most = Math.max(...this.#rates);
    if (this.#rates.length < 3 || most === 0) return;
    const points = this.#rates.map((rate, index) => `${((index * WIDTH) / (this.#rates.length - 1)).toFixed(1)},${(HEIGHT - 3 - (rate / most) * (HEIGHT - 8)).toFixed(1)}`);
    const label = `Items per second: ${rate.toFixed(1)} now, ${most.toFixed(1)} maximum`;
    this.#nodes.chart.hidden = false;
    this.#nodes.chart.replaceChildren(
      svgElement(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        svgElement("polygon", { class: "under", points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }),
        svgElement("polyline", { class: "line", points: points.join(" ") }),
      ),
      element("figcaption", {}, `Items per second (maximum ${most.toFixed(1)})`),
    );
  }

  #list() {
    const { failed } = this.#nodes;
    const count = this.#job.failed;
    const items = [...this.#failed.values()].slice(0, count);
    if (this.#isConfirming() || failed.dataset.shown === `${count} ${items.length} ${this.#job.state}`) return;
    failed.dataset.shown = `${count} ${items.length} ${this.#job.state}`;
    if (count === 0 || items.length === 0) return failed.replaceChildren();
    const canSkip = this.getAttribute("job-id") !== null && this.#job.state !== "cancelled";
    const canRetry = canSkip && this.#job.processor !== "caller";
    failed.replaceChildren(
      element(
        "div",
        { class: "row" },
        element("h2", {}, formatCount(count, "failed item")),
        canRetry && element("button", { type: "button", class: "small", onclick: (event) => this.#retry(event.currentTarget, null) }, "Retry all"),
      ),
      element("ul", {}, items.map((item) => this.#failure(item, canRetry, canSkip))),
      count > items.length && element("p", { class: "muted" }, `and ${formatCount(count - items.length, "other")}`) || "",
    );
  }

  #failure(item, canRetry, canSkip) {
    const name = shorten(item.topic ?? printedId(item.id), 120);
    const button = (label, onclick) => element("button", { type: "button", class: "small", onclick }, label, element("span", { class: "unseen" }, ` ${name}`));
    return element(
      "li",
      { class: "failed", part: "failure" },
      element("div", {}, element("div", {}, name), element("div", { class: "reason" }, element("code", {}, item.errorCode), " ", shorten(item.errorMessage))),
      element(
        "div",
        { class: "row" },
        canRetry && button("Retry", (event) => this.#retry(event.currentTarget, [item.id])),
        canSkip && button("Skip", (event) => this.#skip(event.currentTarget, [item.id])),
      ),
    );
  }

  async #retry(button, itemIds, confirm) {
    if (!this.emit("retry", { itemIds }, { cancelable: true })) return;
    // One request, because requeued items change the state, and a page may reload upon that.
    const body = { ...(itemIds === null ? { retryFailed: true } : { retryItems: itemIds }), ...(confirm && { confirm }) };
    const confirmed = (name) => this.#retry(button, itemIds, name);
    await this.#act(button, "resume", body, "they will be retried", (job) => this.emit("retried", { job }), confirmed);
  }

  async #skip(button, itemIds) {
    if (!this.emit("skip", { itemIds }, { cancelable: true })) return;
    await this.#act(button, "skip", { itemIds }, "it was skipped", ({ job }) => this.emit("skipped", { job }));
  }

  // A function that the server's settings do not name needs a second click, on a button with its name.
  #confirm(button, error, confirmed) {
    const name = error.details.processor;
    const again = element("button", { type: "button", class: "small", onclick: () => confirmed(name) }, `Call ${name}`);
    // The list may have been redrawn since the click.
    if (button.isConnected) button.replaceWith(again);
    else this.#nodes.failed.prepend(again);
    again.focus();
    this.#stateWhenAsked = this.#job.state;
    showStatus(this.#nodes.status, `A command started this batch. To continue, this server calls the function ${name}.`);
  }

  #isConfirming() {
    return this.#stateWhenAsked !== null && this.#stateWhenAsked === this.#job.state;
  }

  async #act(button, action, body, outcome, done, confirmed) {
    const { signal } = this;
    this.#stateWhenAsked = null;
    button.disabled = true;
    this.#pendingAction = outcome;
    try {
      done(await this.client.act(`${this.#path}/${action}`, body, { signal, lost: (error) => this.#lost(error) }));
      this.#pendingAction = null;
      await this.#follow();
    } catch (error) {
      if (signal.aborted) return;
      this.#pendingAction = null;
      button.disabled = false;
      if (error.code === "confirmation_needed" && confirmed) return this.#confirm(button, error, confirmed);
      showStatus(this.#nodes.status, error.message, "problem");
    }
  }
}

function formatRate(rate) {
  if (rate < 0.1) return `${(60 * rate).toFixed(1)}/min`;
  return `${rate < 10 ? rate.toFixed(1) : formatNumber(Math.round(rate))}/s`;
}

function waiting({ reason, detail, until }) {
  return `${reason}; retrying at ${new Date(until).toLocaleTimeString()} (${detail})`;
}

customElements.define("batch-summary", BatchSummary);
