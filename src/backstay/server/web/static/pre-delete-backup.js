// <pre-delete-backup>: shows what a delete would remove, backs it up, verifies, and only then deletes.
//
// Attributes: api, open, delete-by ("app": the page deletes, after the backup is verified).
// Properties: token, isOpen, conversationIds, selection (like that of the API). Methods: ask(selection), close().
// Events: confirm-delete {selection, backup} (cancelable), progress, backup-ready {backupId, selection, waitUntil} (with
// delete-by="app"), deleted {deletion}, failed {error}, undone {restored}, close.

import "./backup-progress.js";
import { downloadLink } from "./backup-progress.js";
import { ApiError, backupPath, newIdempotencyKey, outOfContact } from "./client.js";
import { element, formatCount, formatDistance, formatNumber, formatSize, printedId, shorten } from "./dom.js";
import { BackstayElement, problem, showLostContact, skeleton } from "./element.js";

const CONFIRMATION_PHRASE = "delete for good";
const IN_BACKUP = "All of them are in a verified backup";
// A server that is deleting is rarely silent for this long.
const STANDSTILL_MS = 2_000;
// Errors of a delete that an earlier attempt has already completed.
const ALREADY_DONE = ["plan_outdated", "empty_selection"];

const RULES = `
.sample { margin: 0 0 1rem; padding-left: 1.2rem; list-style: disc; }
.sample li { overflow-wrap: anywhere; }
.warning { margin: 0.5rem 0 1rem; padding: 0.8rem 1rem; border: 1px solid var(--_danger); border-radius: 8px; }
.warning label { display: block; font-weight: 600; }
backup-progress { margin-bottom: 1.2rem; }
`;

export class PreDeleteBackup extends BackstayElement {
  static observedAttributes = ["open"];

  #selection = null;
  #dialog = null;
  #isBusy = false;
  #asking = new AbortController();
  #unknown = null;

  constructor() {
    super(RULES);
  }

  get selection() {
    return this.#selection;
  }

  set selection(selection) {
    this.#selection = selection;
  }

  get conversationIds() {
    return this.#selection?.conversationIds ?? [];
  }

  set conversationIds(ids) {
    this.#selection = { conversationIds: [...ids] };
  }

  get #deletesItself() {
    return this.getAttribute("delete-by") !== "app";
  }

  get isOpen() {
    return this.hasAttribute("open");
  }

  set isOpen(isOpen) {
    this.toggleAttribute("open", Boolean(isOpen));
  }

  start() {
    if (this.isOpen) this.#open();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isStarted) return;
    if (now !== null && this.#dialog === null) this.#open();
    else if (now === null) this.#dialog?.close();
  }

  // Open the dialog for a selection: `{conversationIds}`, or conditions like those of the API.
  ask(selection) {
    if (this.#dialog?.open === false) this.#closed(); // its close event is still pending
    this.#selection = selection;
    this.isOpen = true;
  }

  close() {
    this.isOpen = false;
  }

  async #open() {
    const opened = (this.#dialog = element("dialog", {
      "aria-labelledby": "heading",
      part: "dialog",
      // Pressing Escape twice closes a dialog even if its cancel event is prevented.
      onclose: () => {
        if (opened !== this.#dialog) return; // opened again in the meantime
        if (this.#isBusy && this.isOpen) opened.showModal();
        else this.#closed();
      },
      oncancel: (event) => {
        if (this.#isBusy) event.preventDefault();
      },
    }));
    this.show(this.#dialog);
    this.#asking = new AbortController();
    this.#put("Delete conversations?", skeleton("", "", "short"), element("div", { class: "lost-contact" }), this.#row());
    this.#dialog.showModal();
    const notice = this.#dialog.querySelector(".lost-contact");
    try {
      const plan = await this.#plan((error) => showLostContact(notice, error));
      if (opened !== this.#dialog) return; // closed in the meantime, or opened again for another selection
      if (plan === null) this.#put("Nothing to delete", element("p", {}, "The selected conversations no longer exist."), this.#row("Close"));
      else this.#propose(plan);
    } catch (error) {
      if (opened === this.#dialog && !this.#signal.aborted) this.#stopped(error);
    }
  }

  // Aborted when the answer is no longer needed: the dialog is closed, or the element has left the page.
  get #signal() {
    return AbortSignal.any([this.signal, this.#asking.signal]);
  }

  // The plan of the delete; null if none of the conversations exist.
  async #plan(lost) {
    const body = { selection: this.#selection, ignoreMissing: true };
    try {
      return await this.client.act("/api/conversations/delete-plan", body, { signal: this.#signal, lost });
    } catch (error) {
      if (error.code === "empty_selection") return null;
      throw error;
    }
  }

  #propose(plan) {
    const others = plan.conversations - plan.sample.length;
    // A plan lists only the first missing ids.
    const gone = plan.missing.length === 0 ? 0 : this.conversationIds.length - plan.conversations;
    const backup = element("input", { type: "checkbox", checked: true, id: "backup" });
    const typed = element("input", { type: "text", id: "typed", autocomplete: "off", spellcheck: false });
    const warning = element(
      "div",
      { class: "warning", hidden: true },
      element("p", {}, "Without a backup, the conversations cannot be restored."),
      element("label", { for: "typed" }, `Type “${CONFIRMATION_PHRASE}” to confirm`),
      typed,
    );
    const go = element("button", { type: "button", class: "danger", part: "confirm" });
    const update = () => {
      warning.hidden = backup.checked;
      go.textContent = backup.checked ? "Back up and delete" : "Delete for good";
      go.disabled = !backup.checked && typed.value.trim().toLowerCase() !== CONFIRMATION_PHRASE;
    };
    backup.addEventListener("change", update);
    typed.addEventListener("input", update);
    go.addEventListener("click", () => this.#delete(plan, backup.checked));
    update();
    this.#put(
      `Delete ${formatCount(plan.conversations, "conversation")}?`,
      element("p", {}, `They have ${formatCount(plan.turns, "turn")}; their backup needs about ${formatSize(plan.estimatedBytes)}.`),
      element(
        "ul",
        { class: "sample", part: "sample" },
        plan.sample.map(({ id, topic, turns }) => element("li", {}, shorten(topic ?? printedId(id), 120), " ", element("span", { class: "muted" }, formatCount(turns, "turn")))),
        others > 0 && element("li", { class: "muted" }, `and ${formatCount(others, "other")}`),
      ),
      gone > 0 && element("p", { class: "muted" }, `${formatCount(gone, "selected conversation no longer exists", "selected conversations no longer exist")}.`),
      ...relatedRows(plan),
      this.#deletesItself && element("label", { for: "backup" }, backup, "Back up first"),
      element("p", { class: "muted" }, "The backup is read back and verified before anything is deleted, and can undo the delete."),
      warning,
      this.#row("Cancel", go),
    );
    this.#dialog.querySelector("button[part~=keep]").focus();
  }

  async #delete(plan, backup) {
    if (!this.emit("confirm-delete", { selection: this.#selection, backup }, { cancelable: true })) return this.close();
    const work = new Work(plan, backup);
    await this.#run(work, (signal, lost) =>
      this.#deletesItself ? this.client.until(() => this.#attempt(work, signal), { signal, lost }) : this.#deleteByPage(work, signal, lost));
  }

  // Show a delete until its result is known, then show that. `perform(signal, lost)` resolves to the result.
  async #run(work, perform) {
    const signal = this.#signal;
    this.#show(work);
    try {
      const deletion = await perform(signal, (error) => this.#lost(work, error));
      this.#isBusy = false;
      this.#deleted(deletion, work);
    } catch (error) {
      if (signal.aborted) return;
      this.#isBusy = false;
      await this.#explain(work, error);
    }
  }

  // Start the delete, or find out its result. Resolves to the result; may be called again after contact was lost.
  async #attempt(work, signal) {
    if (work.backupId !== null) return this.#settled(work, signal);
    if (work.isLost) work.remaining = await this.#remaining();
    let end = null;
    await this.client.stream("/api/conversations/delete/events", work.body(this.#selection), (name, data) => {
      if (name === "progress") this.#progress(work, data);
      else end = { name, data };
    }, { signal, headers: { "Idempotency-Key": work.key } });
    if (end === null) throw outOfContact();
    if (end.name === "error") throw new ApiError(500, end.data.error);
    return end.data;
  }

  // Follow a delete through the record of its backup. Resolves to its result, or throws if nothing was deleted.
  async #settled(work, signal) {
    const path = backupPath(work.backupId);
    const standstill = new AbortController();
    let backup = null;
    let isWorked = false; // by the connected server; another one may be working on it
    let timer = null;
    await this.client.follow(`${path}/events`, (name, data) => {
      clearTimeout(timer);
      if (name === "state") backup = data;
      else this.#progress(work, toDeleteProgress(data));
      isWorked = name === "progress" ? data.phase !== null : isWorked;
      if (!isWorked && backup?.deletion?.state === "deleting") timer = setTimeout(() => standstill.abort(), STANDSTILL_MS);
    }, {
      signal: AbortSignal.any([signal, standstill.signal]),
      isOver: () => backup !== null && backup.state !== "running" && backup.deletion?.state !== "deleting",
      lost: (error) => {
        clearTimeout(timer);
        this.#lost(work, error);
      },
    });
    clearTimeout(timer);
    signal.throwIfAborted();
    const now = await this.client.get(path, { signal });
    if (now.deletion === null) throw new ApiError(500, { code: "backup_failed", message: now.error ?? "The backup was made, but nothing was deleted." });
    if (now.deletion.state === "undone") throw new ApiError(409, { code: "undone", message: "The delete was interrupted and undone: all conversations are in the library." });
    if (now.deletion.state === "deleting" && now.deletion.deleted > backup.deletion.deleted) return this.#settled(work, signal); // another server is working on it
    if (now.deletion.state === "deleting") throw new Interrupted(now);
    // The response holds the result of a finished delete.
    return this.client.post("/api/conversations/delete", { continueBackupId: work.backupId }, { signal });
  }

  // Have the page delete, after the backup is verified. Resolves to the result, by comparing the library with the backup.
  async #deleteByPage(work, signal, lost) {
    const body = { selection: this.#selection, digest: work.plan.digest, reason: "bulk_delete" };
    work.outcome = "they were backed up";
    work.note = "Nothing is deleted until then.";
    const { backupId } = await this.client.act("/api/backup/create", body, { signal, lost, headers: { Prefer: "respond-async" } });
    const path = backupPath(backupId);
    let backup = null;
    work.backupId = backupId;
    await this.client.follow(`${path}/events`, (name, data) => {
      if (name === "state") backup = data;
      else this.#progress(work, toDeleteProgress(data));
    }, { signal, lost, isOver: () => backup !== null && backup.state !== "running" });
    signal.throwIfAborted();
    if (backup.state !== "verified") throw new ApiError(500, { code: "backup_failed", message: backup.error ?? `The backup is ${backup.state}.` });
    const waiting = [];
    work.isHandedOver = true;
    work.outcome = "they were deleted";
    work.note = `${IN_BACKUP}.`;
    this.emit("backup-ready", { backupId, selection: this.#selection, waitUntil: (promise) => waiting.push(promise) });
    const ended = await Promise.allSettled(waiting);
    const plan = await this.client.act(`${path}/restore-plan`, {}, { signal, lost });
    work.error = ended.find((result) => result.status === "rejected")?.reason ?? null;
    work.remaining = plan.identical;
    return { backupId, deleted: plan.new, changed: plan.conflictCount, gone: 0, changedIds: plan.listedConflicts.map((conflict) => conflict.id), goneIds: [], undo: `${path}/restore` };
  }

  #show(work) {
    this.#isBusy = true;
    this.#put(work.backup ? "Backing up, then deleting" : "Deleting", work.progress, work.notice);
    work.progress.progress = { phase: work.backup ? "writing" : "deleting", conversations: 0, total: work.plan.conversations, contentBytes: 0 };
  }

  #progress(work, data) {
    this.#isBusy = true;
    this.#unknown = null;
    work.update(data);
    this.emit("progress", data);
  }

  // While the result is unknown, the dialog may be closed: the delete does not depend on it.
  #lost(work, error) {
    work.isLost = true;
    this.#isBusy = false;
    this.#unknown = error ?? outOfContact();
    if (work.notice.textContent === "") {
      work.notice.replaceChildren(work.status, element("p", { class: "muted" }, work.note), this.#row("Close"));
    }
    showLostContact(work.status, error, work.outcome, work.remaining === null ? "" : ` ${work.inLibrary(work.remaining)} now.`);
  }

  // The number of conversations of the selection that are in the library.
  async #remaining() {
    return (await this.#plan())?.conversations ?? 0;
  }

  // Show the result of a delete that failed.
  async #explain(work, error) {
    const signal = this.#signal;
    try {
      if (work.isHandedOver) {
        this.#stopped(error, "It is not known what was deleted");
      } else if (error instanceof Interrupted) {
        this.#interrupted(work, error.backup);
      } else if (work.backupId !== null) {
        const backup = await this.client.ask(backupPath(work.backupId), { signal, lost: (lost) => this.#lost(work, lost) });
        if (backup.deletion?.state === "deleting") this.#interrupted(work, backup, error);
        else this.#stopped(error);
      } else if (work.isLost || !work.backup) {
        const remaining = await this.#remaining();
        this.#put(
          remaining === 0 ? "They are no longer in the library" : work.inLibrary(remaining),
          work.isLost && element("p", {}, "The connection was lost, and the server no longer knows the delete."),
          work.isLost && work.backup && element("p", {}, "If they were backed up, their backup is in the list of backups."),
          ALREADY_DONE.includes(error.code) ? null : problem(error),
          this.#row("Close"),
        );
      } else {
        this.#stopped(error);
      }
      this.#unknown = null;
      this.emit("failed", { error });
    } catch (other) {
      if (!signal.aborted) this.#stopped(other, "It is not known what was deleted");
    }
  }

  // Offer to finish or undo a delete that no server is working on.
  #interrupted(work, backup, error = null) {
    const resumeDelete = (signal, lost) => this.client.act("/api/conversations/delete", { continueBackupId: backup.backupId }, { signal, lost });
    const notice = element("div", { "aria-live": "polite" });
    const undo = element("button", { type: "button", class: "primary", part: "undo", onclick: () => this.#undo(undo, notice, backup, [finish]) }, "Undo");
    const finish = element("button", { type: "button", class: "danger", part: "confirm", onclick: () => this.#run(work, resumeDelete) }, "Finish deleting");
    this.#put(
      "The delete was interrupted",
      error !== null && problem(error),
      element("p", {}, `${formatCount(backup.deletion.deleted, "conversation")} of ${formatNumber(backup.conversationCount)} deleted so far. ${IN_BACKUP}.`),
      notice,
      this.#row("Close", undo, finish, downloadLink(this.client, backup.backupId)),
    );
    undo.focus();
  }

  async #deleted(deletion, { error = null, remaining = null, isHandedOver }) {
    this.#unknown = null;
    const notice = element("div", { "aria-live": "polite" });
    const done = element("button", { type: "button", class: "primary", onclick: () => this.close() }, "Done");
    const notes = [
      error !== null && problem(error),
      deletion.changed > 0 && element("p", {}, `${formatCount(deletion.changed, "conversation")} kept: changed in the meantime.`),
      isHandedOver && remaining > 0 && element("p", {}, `${formatCount(remaining, "conversation is", "conversations are")} still in the library.`),
    ];
    const heading = deletion.deleted === 0 ? "Nothing was deleted" : `${formatCount(deletion.deleted, "conversation")} deleted`;
    if (deletion.backupId === null) {
      this.#put(heading, ...notes, element("p", {}, "There is no backup."), element("div", { class: "row" }, done));
    } else {
      const undo = deletion.deleted > 0 && element("button", { type: "button", part: "undo", onclick: () => this.#undo(undo, notice, deletion) }, "Undo");
      const expiry = element("p", {}, `${IN_BACKUP}.`);
      this.#put(heading, ...notes, expiry, notice, element("div", { class: "row" }, done, undo, downloadLink(this.client, deletion.backupId)));
      this.client.ask(backupPath(deletion.backupId), { signal: this.#signal }).then(
        (backup) => {
          if (backup.expiresAt !== null) expiry.textContent = `${IN_BACKUP}, which expires ${formatDistance(backup.expiresAt)}.`;
        },
        () => {},
      );
    }
    done.focus();
    if (error === null) this.emit("deleted", { deletion });
    else this.emit("failed", { error });
  }

  async #undo(button, notice, { backupId }, others = []) {
    const signal = this.#signal;
    for (const each of [button, ...others]) each.disabled = true;
    try {
      const restored = await this.client.act(`${backupPath(backupId)}/restore`, {}, {
        signal,
        lost: (error) => showLostContact(notice, error, "they were restored"),
      });
      notice.replaceChildren(element("p", { class: "good" }, `${formatCount(restored.restored, "conversation")} restored.`));
      for (const each of [button, ...others]) each.remove();
      this.emit("undone", { restored });
    } catch (error) {
      if (signal.aborted) return;
      notice.replaceChildren(problem(error));
      for (const each of [button, ...others]) each.disabled = false;
    }
  }

  #stopped(error, heading = "Nothing was deleted") {
    this.#put(heading, problem(error), this.#row("Close"));
    this.#dialog?.querySelector("button").focus();
  }

  #put(heading, ...children) {
    this.#dialog?.replaceChildren(element("h2", { id: "heading" }, heading), ...children.filter(Boolean));
  }

  #row(label = "Cancel", ...more) {
    return element("div", { class: "row" }, element("button", { type: "button", part: "keep", onclick: () => this.close() }, label), ...more);
  }

  #closed() {
    this.#asking.abort();
    this.#dialog = null;
    if (this.#unknown !== null) this.emit("failed", { error: this.#unknown });
    this.#unknown = null;
    this.show();
    this.isOpen = false;
    this.emit("close");
  }
}

// One delete in progress, and the nodes that show it.
class Work {
  key = newIdempotencyKey();
  backupId = null;
  isLost = false;
  // The number of conversations in the library, once it had to be queried.
  remaining = null;
  notice = element("div");
  status = element("div");
  outcome = "they were deleted";
  // Whether the page was asked to delete, and the error of that.
  isHandedOver = false;
  error = null;

  constructor(plan, backup) {
    this.plan = plan;
    this.backup = backup;
    this.progress = element("backup-progress", { deleting: backup || "only" });
    this.note = `This dialog can be closed: the delete continues without it.${backup ? " The list of backups shows its result." : ""}`;
  }

  body(selection) {
    const body = { selection, digest: this.plan.digest, ignoreMissing: true };
    return this.backup ? body : { ...body, withoutBackup: CONFIRMATION_PHRASE };
  }

  inLibrary(count) {
    return `${formatCount(count, "conversation")} of ${formatNumber(this.plan.conversations)} ${count === 1 ? "is" : "are"} in the library`;
  }

  update(data) {
    this.backupId ??= data.backupId || null;
    this.notice.replaceChildren();
    this.status.replaceChildren();
    this.progress.progress = data;
  }
}

// Convert the progress of a backup to that of its delete.
function toDeleteProgress(data) {
  if (data.state === "running") return { ...data, phase: data.phase ?? "writing" };
  const { backupId, deleted, changed, gone, conversations: total } = data;
  return { backupId, phase: "deleting", conversations: deleted + changed + gone, total, contentBytes: 0 };
}

// A delete that was started, and that no server is working on.
class Interrupted extends Error {
  constructor(backup) {
    super("The delete was interrupted.");
    this.code = "interrupted";
    this.backup = backup;
  }
}

// The related rows and triggers of a delete.
function relatedRows({ related = [], triggers = [] }) {
  return [
    related.length > 0 && element("p", {}, "Related rows, which the backup includes:"),
    related.length > 0 && element("ul", { class: "sample" }, related.map(({ table, rows, action }) => element("li", {}, element("code", {}, table), ` ${formatCount(rows, "row")} ${action}`))),
    triggers.length > 0 && element("p", { class: "muted" }, `Triggers that will run: ${triggers.map(({ name, table }) => `${name} on ${table}`).join(", ")}`),
  ];
}

customElements.define("pre-delete-backup", PreDeleteBackup);
