// <backup-progress>: the progress of a backup, and its download once it is verified.
//
// Attributes: api, backup-id. Properties: token; progress {backupId, phase, conversations, total, contentBytes} displays
// numbers that the page supplies. Events: progress, ready {backup}, failed {backup}.

import { backupPath } from "./client.js";
import { element, formatCount, formatDistance, formatNumber, formatSize } from "./dom.js";
import { BackstayElement, lostContact, problem, showLostContact, showStatus, skeleton } from "./element.js";

const PHASES = [
  ["writing", "Backing up"],
  ["verifying", "Verifying"],
  ["deleting", "Deleting"],
];

const RULES = `
ol { list-style: none; margin: 0 0 0.8rem; padding: 0; display: flex; flex-wrap: wrap; gap: 0.3rem 1.3rem; font-size: 0.92rem; color: var(--_muted); }
li::before { content: "○ "; }
li[aria-current]::before { content: "● "; }
li[aria-current] { color: var(--_ink); font-weight: 600; }
li.done::before { content: "✓ "; }
li.done { color: var(--_good); }
progress { margin-bottom: 0.5rem; }
p:last-child { margin: 0; }
`;

export class BackupProgress extends BackstayElement {
  static observedAttributes = ["backup-id"];

  #backup = null;
  #latest = null;
  #nodes = null;
  #following = null;

  constructor() {
    super(RULES);
  }

  get progress() {
    return this.#latest;
  }

  set progress(progress) {
    this.#latest = progress;
    this.#draw(progress.phase, progress.conversations, progress.total, progress.contentBytes);
  }

  start() {
    if (this.getAttribute("backup-id") !== null) this.#follow();
  }

  attributeChangedCallback(name, before, now) {
    if (now !== null && now !== before && this.isStarted) this.#follow();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#following?.abort();
  }

  async #follow() {
    this.#following?.abort();
    const following = (this.#following = new AbortController());
    const path = backupPath(this.getAttribute("backup-id"));
    if (this.#nodes === null) this.show(skeleton("", "short"));
    const { signal } = following;
    const lost = (error) => (this.#nodes === null ? showLostContact(this.shadowRoot, error) : showStatus(this.#nodes.status, lostContact(error), "lost"));
    try {
      await this.client.follow(`${path}/events`, (name, data) => this.#onEvent(name, data), {
        signal,
        lost,
        isOver: () => this.#backup !== null && this.#backup.state !== "running" && this.#backup.deletion?.state !== "deleting",
      });
      if (signal.aborted) return;
      this.#backup = await this.client.ask(path, { signal, lost });
      await this.#end();
    } catch (error) {
      if (signal.aborted) return;
      this.#nodes = null;
      this.show(problem(error));
    }
  }

  #onEvent(name, data) {
    if (name === "state") this.#backup = data;
    if (name !== "progress") return;
    this.#latest = data;
    if (data.state === "running") this.#draw(data.phase ?? "writing", data.conversations, data.total, data.contentBytes);
    this.emit("progress", data);
  }

  #draw(phase, conversations, total, bytes) {
    this.#nodes ??= this.#build();
    const { steps, bar, status } = this.#nodes;
    const current = PHASES.findIndex(([name]) => name === phase);
    steps.forEach((step, index) => {
      step.className = index < current ? "done" : "";
      if (index === current) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
      const isDeletePhase = PHASES[index][0] === "deleting";
      step.hidden = isDeletePhase ? phase !== "deleting" && !this.hasAttribute("deleting") : this.getAttribute("deleting") === "only";
    });
    if (total) {
      bar.max = total;
      bar.value = conversations;
    } else {
      bar.removeAttribute("value");
    }
    const amount = total ? `${formatNumber(conversations)} of ${formatCount(total, "conversation")}` : formatCount(conversations, "conversation");
    showStatus(status, bytes ? `${amount}, ${formatSize(bytes)}` : amount);
  }

  #build() {
    const steps = PHASES.map(([, label]) => element("li", {}, label));
    const bar = element("progress", { "aria-label": "Progress of the backup" });
    const status = element("p", { class: "muted", part: "status", role: "status" });
    this.show(element("ol", { part: "phases" }, steps), bar, status);
    return { steps, bar, status };
  }

  async #end() {
    this.#nodes = null;
    const backup = this.#backup;
    if (backup.state !== "verified") {
      this.show(element("p", { class: "problem", role: "alert" }, backup.error ?? `The backup is ${backup.state}${backup.damagedAt ? ` (found ${formatDistance(backup.damagedAt)})` : ""}.`));
      this.emit("failed", { backup });
      return;
    }
    this.show(
      element("p", { role: "status" }, `Verified: ${formatCount(backup.conversationCount, "conversation")}, ${formatSize(backup.fileBytes)}.${expiry(backup)}`),
      element("p", {}, downloadLink(this.client, backup.backupId)),
    );
    this.emit("ready", { backup });
  }
}

function expiry(backup) {
  if (backup.pinned) return " It is pinned and does not expire.";
  return backup.expiresAt === null ? "" : ` It expires ${formatDistance(backup.expiresAt)}.`;
}

// A link that downloads a backup. If it needs a ticket, the ticket is requested on click.
export function downloadLink(client, backupId) {
  const plain = `${client.api}/api/backup/download/${encodeURIComponent(backupId)}`;
  const link = element("a", { class: "button", part: "download", href: plain, download: "" }, "Download backup");
  if (client.needsTicket) {
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      window.location.assign(await client.downloadAddress(backupId));
    });
  }
  return link;
}

customElements.define("backup-progress", BackupProgress);
