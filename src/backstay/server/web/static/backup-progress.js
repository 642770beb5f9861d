// <backup-progress>: how far a backup has come, and its download once it is verified.
//
// Attributes: api, backup-id. Properties: token; progress {backupId, phase, conversations, total, contentBytes} shows
// what the page knows itself. Events: progress, ready {backup}, failed {backup}.

import { counted, distance, element, number, size } from "./dom.js";
import { BackstayElement, lostContact, problem, sayLost, skeleton } from "./element.js";

const PHASES = [
  ["writing", "Backing up"],
  ["verifying", "Reading back and comparing"],
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
  #parts = null;
  #following = null;

  constructor() {
    super(RULES);
  }

  get progress() {
    return this.#latest;
  }

  set progress(given) {
    this.#latest = given;
    this.#draw(given.phase, given.conversations, given.total, given.contentBytes);
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
    const path = `/api/backups/${encodeURIComponent(this.getAttribute("backup-id"))}`;
    if (this.#parts === null) this.show(skeleton("", "short"));
    const { signal } = following;
    const lost = (error) => (this.#parts === null ? sayLost(this.shadowRoot, error) : this.say(lostContact(error), "lost"));
    try {
      await this.client.follow(`${path}/events`, (name, data) => this.#told(name, data), {
        signal,
        lost,
        isOver: () => this.#backup !== null && this.#backup.state !== "running" && this.#backup.deletion?.state !== "deleting",
      });
      if (signal.aborted) return;
      this.#backup = await this.client.ask(path, { signal, lost });
      await this.#end();
    } catch (error) {
      if (signal.aborted) return;
      this.#parts = null;
      this.show(problem(error));
    }
  }

  #told(name, data) {
    if (name === "state") this.#backup = data;
    if (name !== "progress") return;
    this.#latest = data;
    if (data.state === "running") this.#draw(data.phase ?? "writing", data.conversations, data.total, data.contentBytes);
    this.tell("progress", data);
  }

  #draw(phase, conversations, total, bytes) {
    this.#parts ??= this.#build();
    const { steps, bar } = this.#parts;
    const place = PHASES.findIndex(([name]) => name === phase);
    steps.forEach((step, at) => {
      step.className = at < place ? "done" : "";
      if (at === place) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
      const isDelete = PHASES[at][0] === "deleting";
      step.hidden = isDelete ? phase !== "deleting" && !this.hasAttribute("deleting") : this.getAttribute("deleting") === "only";
    });
    if (total) {
      bar.max = total;
      bar.value = conversations;
    } else {
      bar.removeAttribute("value");
    }
    const amount = total ? `${number(conversations)} of ${counted(total, "conversation")}` : counted(conversations, "conversation");
    this.say(bytes ? `${amount}, ${size(bytes)}` : amount);
  }

  // Say something in place of the amount.
  say(text, kind = "muted") {
    const { said } = this.#parts;
    if (said.textContent === text) return;
    said.className = kind;
    said.textContent = text;
  }

  #build() {
    const steps = PHASES.map(([, label]) => element("li", {}, label));
    const bar = element("progress", { "aria-label": "Progress of the backup" });
    const said = element("p", { class: "muted", part: "status", role: "status" });
    this.show(element("ol", { part: "phases" }, steps), bar, said);
    return { steps, bar, said };
  }

  async #end() {
    this.#parts = null;
    const backup = this.#backup;
    if (backup.state !== "verified") {
      this.show(element("p", { class: "problem", role: "alert" }, backup.error ?? `The backup is ${backup.state}${backup.damagedAt ? `: found ${distance(backup.damagedAt)}` : ""}.`));
      this.tell("failed", { backup });
      return;
    }
    this.show(
      element("p", { role: "status" }, `Verified: ${counted(backup.conversationCount, "conversation")}, ${size(backup.fileBytes)}.${expiry(backup)}`),
      element("p", {}, downloadLink(this.client, backup.backupId)),
    );
    this.tell("ready", { backup });
  }
}

function expiry(backup) {
  if (backup.pinned) return " It is pinned, and does not expire.";
  return backup.expiresAt === null ? "" : ` It expires ${distance(backup.expiresAt)}.`;
}

// A link that downloads a backup; where it needs a ticket, one is asked for when it is used.
export function downloadLink(client, backupId) {
  const plain = `${client.api}/api/backup/download/${encodeURIComponent(backupId)}`;
  const link = element("a", { class: "button", part: "download", href: plain, download: "" }, "Download the backup");
  if (client.needsTicket) {
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      window.location.assign(await client.downloadAddress(backupId));
    });
  }
  return link;
}

customElements.define("backup-progress", BackupProgress);
