// <pre-delete-backup>: shows what a delete would remove, backs it up, verifies, and only then deletes.
//
// Attributes: api, open, delete-by ("app": the page deletes, once there is a verified backup). Properties: token, isOpen, conversationIds, selection (as the API takes it).
// Methods: ask(selection), close().
// Events: confirm-delete {selection, backup} (cancelable), progress, backup-ready {backupId, selection, waitUntil} (with
// delete-by="app"), deleted {deletion}, failed {error}, undone {restored}, close.

import "./backup-progress.js";
import { downloadLink } from "./backup-progress.js";
import { ApiError, newKey, outOfContact } from "./client.js";
import { clipped, counted, distance, element, number, printedId, size } from "./dom.js";
import { BackstayElement, problem, sayLost, skeleton } from "./element.js";

const PHRASE = "delete for good";
// A server that is deleting is seldom silent for so long.
const STANDSTILL = 2_000;
// The errors that refuse a delete when an earlier attempt has already done it.
const AFTERMATH = ["plan_outdated", "empty_selection"];

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

  set selection(given) {
    this.#selection = given;
  }

  get conversationIds() {
    return this.#selection?.conversationIds ?? [];
  }

  set conversationIds(ids) {
    this.#selection = { conversationIds: [...ids] };
  }

  get #isOurs() {
    return this.getAttribute("delete-by") !== "app";
  }

  get isOpen() {
    return this.hasAttribute("open");
  }

  set isOpen(wanted) {
    this.toggleAttribute("open", Boolean(wanted));
  }

  start() {
    if (this.isOpen) this.#open();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isStarted) return;
    if (now !== null && this.#dialog === null) this.#open();
    else if (now === null) this.#dialog?.close();
  }

  // Ask about a selection: `{conversationIds}`, or conditions as the API takes them.
  ask(selection) {
    if (this.#dialog?.open === false) this.#closed(); // its event is still to come
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
      // Escape pressed twice closes a dialog whatever it says to that.
      onclose: () => {
        if (opened !== this.#dialog) return; // asked anew meanwhile
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
    const place = this.#dialog.querySelector(".lost-contact");
    try {
      const plan = await this.#plan((error) => sayLost(place, error));
      if (opened !== this.#dialog) return; // closed meanwhile, or opened anew about something else
      if (plan === null) this.#put("Nothing to delete", element("p", {}, "The selected conversations are not there any more."), this.#row("Close"));
      else this.#propose(plan);
    } catch (error) {
      if (opened === this.#dialog && !this.#signal.aborted) this.#stopped(error);
    }
  }

  // Aborted when the answer is no longer needed: the dialog is closed, or the element has left the page.
  get #signal() {
    return AbortSignal.any([this.signal, this.#asking.signal]);
  }

  // What the delete would remove; null when nothing of it is there.
  async #plan(lost) {
    const asked = { selection: this.#selection, ignoreMissing: true };
    try {
      return await this.client.act("/api/conversations/delete-plan", asked, { signal: this.#signal, lost });
    } catch (error) {
      if (error.code === "empty_selection") return null;
      throw error;
    }
  }

  #propose(plan) {
    const others = plan.conversations - plan.sample.length;
    // A plan names only the first of those that are missing.
    const gone = plan.missing.length === 0 ? 0 : this.conversationIds.length - plan.conversations;
    const backup = element("input", { type: "checkbox", checked: true, id: "backup" });
    const typed = element("input", { type: "text", id: "typed", autocomplete: "off", spellcheck: false });
    const warning = element(
      "div",
      { class: "warning", hidden: true },
      element("p", {}, "Without a backup nothing brings them back: not this page, not anybody."),
      element("label", { for: "typed" }, `Type “${PHRASE}” to do it all the same`),
      typed,
    );
    const go = element("button", { type: "button", class: "danger", part: "confirm" }, "Back up and delete");
    const update = () => {
      warning.hidden = backup.checked;
      go.textContent = backup.checked ? "Back up and delete" : "Delete for good";
      go.disabled = !backup.checked && typed.value.trim().toLowerCase() !== PHRASE;
    };
    backup.addEventListener("change", update);
    typed.addEventListener("input", update);
    go.addEventListener("click", () => this.#delete(plan, backup.checked));
    this.#put(
      `Delete ${counted(plan.conversations, "conversation")}?`,
      element("p", {}, `They go with their ${counted(plan.turns, "turn")}: about ${size(plan.estimatedBytes)} to back up.`),
      element(
        "ul",
        { class: "sample", part: "sample" },
        plan.sample.map((one) => element("li", {}, clipped(one.topic ?? printedId(one.id), 120), " ", element("span", { class: "muted" }, counted(one.turns, "turn")))),
        others > 0 && element("li", { class: "muted" }, `and ${counted(others, "other")}`),
      ),
      gone > 0 && element("p", { class: "muted" }, `${counted(gone, "selected conversation is", "selected conversations are")} not there any more.`),
      ...along(plan),
      this.#isOurs && element("label", { for: "backup" }, backup, "Back them up first"),
      element("p", { class: "muted" }, "The backup is read back and compared before anything is deleted. With it, the delete can be undone."),
      warning,
      this.#row("Keep them", go),
    );
    this.#dialog.querySelector("button[part~=keep]").focus();
  }

  async #delete(plan, backup) {
    if (!this.tell("confirm-delete", { selection: this.#selection, backup }, { cancelable: true })) return this.close();
    const work = new Work(plan, backup);
    const signal = this.#signal;
    const lost = (error) => this.#lost(work, error);
    this.#show(work);
    try {
      const deletion = await (this.#isOurs ? this.client.until(() => this.#attempt(work, signal), { signal, lost }) : this.#deleteByPage(work, signal, lost));
      this.#isBusy = false;
      this.#deleted(deletion, work);
    } catch (error) {
      if (signal.aborted) return;
      this.#isBusy = false;
      await this.#explain(work, error);
    }
  }

  // Begin the delete, or find out its result. Resolves to the result; may be called again whenever contact was lost.
  async #attempt(work, signal) {
    if (work.backupId !== null) return this.#settled(work, signal);
    if (work.isLost) work.left = await this.#left();
    let end = null;
    await this.client.stream("/api/conversations/delete/events", work.asked(this.#selection), (name, data) => {
      if (name === "progress") this.#progress(work, data);
      else end = { name, data };
    }, { signal, headers: { "Idempotency-Key": work.key } });
    if (end === null) throw outOfContact();
    if (end.name === "error") throw new ApiError(500, end.data.error);
    return end.data;
  }

  // Follow a delete by the record of its backup. Resolves to its result, or throws when nothing was deleted.
  async #settled(work, signal) {
    const path = `/api/backups/${encodeURIComponent(work.backupId)}`;
    const standstill = new AbortController();
    let backup = null;
    let isWorked = false; // by the server that we hear; another one may be at it
    let timer = null;
    await this.client.follow(`${path}/events`, (name, data) => {
      clearTimeout(timer);
      if (name === "state") backup = data;
      else this.#progress(work, inItsPhase(data));
      isWorked = name === "progress" ? data.phase !== null : isWorked;
      if (!isWorked && backup?.deletion?.state === "deleting") timer = setTimeout(() => standstill.abort(), STANDSTILL);
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
    if (now.deletion === null) throw new ApiError(500, { code: "backup_failed", message: now.error ?? "The backup was made, and nothing was deleted." });
    if (now.deletion.state === "undone") throw new ApiError(409, { code: "undone", message: "The delete was interrupted, and was undone: all of them are in the library." });
    if (now.deletion.state === "deleting" && now.deletion.deleted > backup.deletion.deleted) return this.#settled(work, signal); // another server is at it
    if (now.deletion.state === "deleting") throw new Interrupted(now);
    // A finished delete is in the answer.
    return this.client.post("/api/conversations/delete", { continueBackupId: work.backupId }, { signal });
  }

  // Have the page delete, once there is a verified backup. Resolves to the result, by comparing the library with the backup.
  async #deleteByPage(work, signal, lost) {
    const asked = { selection: this.#selection, digest: work.plan.digest, reason: "bulk_delete" };
    work.what = "they were backed up";
    work.after = "Nothing is deleted before that.";
    const { backupId } = await this.client.act("/api/backup/create", asked, { signal, lost, headers: { Prefer: "respond-async" } });
    const path = `/api/backups/${encodeURIComponent(backupId)}`;
    let backup = null;
    work.backupId = backupId;
    await this.client.follow(`${path}/events`, (name, data) => {
      if (name === "state") backup = data;
      else this.#progress(work, inItsPhase(data));
    }, { signal, lost, isOver: () => backup !== null && backup.state !== "running" });
    signal.throwIfAborted();
    if (backup.state !== "verified") throw new ApiError(500, { code: "backup_failed", message: backup.error ?? `The backup is ${backup.state}.` });
    const waiting = [];
    work.isHandedOver = true;
    work.what = "they were deleted";
    work.after = "All of them are in a verified backup.";
    this.tell("backup-ready", { backupId, selection: this.#selection, waitUntil: (promise) => waiting.push(promise) });
    const ended = await Promise.allSettled(waiting);
    const found = await this.client.act(`${path}/restore-plan`, {}, { signal, lost });
    work.error = ended.find((one) => one.status === "rejected")?.reason ?? null;
    work.left = found.identical;
    return { backupId, deleted: found.new, changed: found.conflictCount, gone: 0, changedIds: found.conflicts.map((one) => one.id), goneIds: [], undo: `${path}/restore` };
  }

  #show(work) {
    this.#isBusy = true;
    this.#put(work.backup ? "Backing up, then deleting" : "Deleting", work.shown, work.place);
    work.shown.progress = { phase: work.backup ? "writing" : "deleting", conversations: 0, total: work.plan.conversations, contentBytes: 0 };
  }

  #progress(work, data) {
    this.#isBusy = true;
    this.#unknown = null;
    work.heard(data);
    this.tell("progress", data);
  }

  // While the result is unknown, the dialog may be closed: the delete does not depend on it.
  #lost(work, error) {
    work.isLost = true;
    this.#isBusy = false;
    this.#unknown = error ?? outOfContact();
    if (work.place.textContent === "") {
      work.place.replaceChildren(
        work.said,
        element("p", { class: "muted" }, work.after),
        this.#row("Close"),
      );
    }
    const found = work.left === null ? "" : ` ${counted(work.left, "conversation")} of ${number(work.plan.conversations)} ${work.left === 1 ? "is" : "are"} in the library now.`;
    sayLost(work.said, error, work.what, found);
  }

  // How many of what was to be deleted is in the library.
  async #left() {
    return (await this.#plan())?.conversations ?? 0;
  }

  // Show the result of a delete that did not end as it should.
  async #explain(work, error) {
    const signal = this.#signal;
    try {
      if (work.isHandedOver) {
        this.#stopped(error, "It is not known what was deleted");
      } else if (error instanceof Interrupted) {
        this.#interrupted(work, error.backup);
      } else if (work.backupId !== null) {
        const backup = await this.client.ask(`/api/backups/${encodeURIComponent(work.backupId)}`, { signal, lost: (lost) => this.#lost(work, lost) });
        if (backup.deletion?.state === "deleting") this.#interrupted(work, backup, error);
        else this.#stopped(error);
      } else if (work.isLost || !work.backup) {
        const left = await this.#left();
        this.#put(
          left === 0 ? "They are not in the library any more" : `${counted(left, "conversation")} of ${number(work.plan.conversations)} ${left === 1 ? "is" : "are"} in the library`,
          work.isLost && element("p", {}, "The connection was lost, and the server does not know the delete any more."),
          work.isLost && work.backup && element("p", {}, "If they were backed up before, they are in the list of backups."),
          AFTERMATH.includes(error.code) ? null : problem(error),
          this.#row("Close"),
        );
      } else {
        this.#stopped(error);
      }
      this.#unknown = null;
      this.tell("failed", { error });
    } catch (other) {
      if (!signal.aborted) this.#stopped(other, "It is not known what was deleted");
    }
  }

  // A delete that no server works on: its backup finishes it or undoes it.
  #interrupted(work, backup, error = null) {
    const { deleted } = backup.deletion;
    const place = element("div", { "aria-live": "polite" });
    const undo = element("button", { type: "button", class: "primary", part: "undo", onclick: () => this.#undo(undo, place, backup, [finish]) }, "Undo");
    const finish = element("button", { type: "button", class: "danger", part: "confirm", onclick: () => this.#finish(work) }, "Finish deleting");
    this.#put(
      "The delete has stopped",
      error !== null && problem(error),
      element("p", {}, `${counted(deleted, "conversation")} of ${number(backup.conversationCount)} ${deleted === 1 ? "is" : "are"} deleted so far. All of them are in a verified backup.`),
      place,
      this.#row("Close", undo, finish, downloadLink(this.client, backup.backupId)),
    );
    undo.focus();
  }

  async #finish(work) {
    const signal = this.#signal;
    this.#show(work);
    try {
      const asked = { continueBackupId: work.backupId };
      const deletion = await this.client.act("/api/conversations/delete", asked, { signal, lost: (error) => this.#lost(work, error) });
      this.#isBusy = false;
      this.#deleted(deletion, work);
    } catch (error) {
      if (signal.aborted) return;
      this.#isBusy = false;
      await this.#explain(work, error);
    }
  }

  async #deleted(deletion, { error = null, left = null, isHandedOver }) {
    this.#unknown = null;
    const place = element("div", { "aria-live": "polite" });
    const done = element("button", { type: "button", class: "primary", onclick: () => this.close() }, "Done");
    const kept = [
      error !== null && problem(error),
      deletion.changed > 0 && element("p", {}, `${counted(deletion.changed, "conversation")} kept, because they were changed meanwhile.`),
      isHandedOver && left > 0 && element("p", {}, `${counted(left, "conversation is", "conversations are")} in the library as before.`),
    ];
    const heading = deletion.deleted === 0 ? "Nothing was deleted" : `${counted(deletion.deleted, "conversation")} deleted`;
    if (deletion.backupId === null) {
      this.#put(heading, ...kept, element("p", {}, "There is no backup of them."), element("div", { class: "row" }, done));
    } else {
      const undo = deletion.deleted > 0 && element("button", { type: "button", part: "undo", onclick: () => this.#undo(undo, place, deletion) }, "Undo");
      const expiry = element("p", {}, "All of them are in a verified backup.");
      this.#put(heading, ...kept, expiry, place, element("div", { class: "row" }, done, undo, downloadLink(this.client, deletion.backupId)));
      this.client.ask(`/api/backups/${encodeURIComponent(deletion.backupId)}`, { signal: this.#signal }).then(
        (backup) => {
          if (backup.expiresAt !== null) expiry.textContent = `All of them are in a verified backup, which expires ${distance(backup.expiresAt)}.`;
        },
        () => {},
      );
    }
    done.focus();
    if (error === null) this.tell("deleted", { deletion });
    else this.tell("failed", { error });
  }

  async #undo(button, place, { backupId }, others = []) {
    const signal = this.#signal;
    for (const one of [button, ...others]) one.disabled = true;
    try {
      const restored = await this.client.act(`/api/backups/${encodeURIComponent(backupId)}/restore`, {}, {
        signal,
        lost: (error) => sayLost(place, error, "they were restored"),
      });
      place.replaceChildren(element("p", { class: "good" }, `${number(restored.restored)} restored: all is as it was.`));
      for (const one of [button, ...others]) one.remove();
      this.tell("undone", { restored });
    } catch (error) {
      if (signal.aborted) return;
      place.replaceChildren(problem(error));
      for (const one of [button, ...others]) one.disabled = false;
    }
  }

  #stopped(error, heading = "Nothing was deleted") {
    this.#put(heading, problem(error), this.#row("Close"));
    this.#dialog?.querySelector("button").focus();
  }

  #put(heading, ...children) {
    this.#dialog?.replaceChildren(element("h2", { id: "heading" }, heading), ...children.filter(Boolean));
  }

  #row(label = "Keep them", ...more) {
    return element("div", { class: "row" }, element("button", { type: "button", part: "keep", onclick: () => this.close() }, label), ...more);
  }

  #closed() {
    this.#asking.abort();
    this.#dialog = null;
    if (this.#unknown !== null) this.tell("failed", { error: this.#unknown });
    this.#unknown = null;
    this.show();
    this.isOpen = false;
    this.tell("close");
  }
}

// One delete on its way, and where the dialog shows it.
class Work {
  key = newKey();
  backupId = null;
  isLost = false;
  // How many are in the library, when that had to be asked.
  left = null;
  place = element("div");
  said = element("div");
  what = "they were deleted";
  // The page deletes, and had its turn; what it has failed with.
  isHandedOver = false;
  error = null;

  constructor(plan, backup) {
    this.plan = plan;
    this.backup = backup;
    this.shown = element("backup-progress", { deleting: backup || "only" });
    this.after = `This dialog can be closed: the delete continues without it.${backup ? " The list of backups shows its result." : ""}`;
  }

  asked(selection) {
    const asked = { selection, digest: this.plan.digest, ignoreMissing: true };
    return this.backup ? asked : { ...asked, withoutBackup: PHRASE };
  }

  heard(data) {
    this.backupId ??= data.backupId || null;
    this.place.replaceChildren();
    this.said.replaceChildren();
    this.shown.progress = data;
  }
}

// The progress of a backup, as that of the delete it is made for.
function inItsPhase(data) {
  if (data.state === "running") return { ...data, phase: data.phase ?? "writing" };
  const { backupId, deleted, changed, gone, conversations: total } = data;
  return { backupId, phase: "deleting", conversations: deleted + changed + gone, total, contentBytes: 0 };
}

// A delete that was begun, and that no server works on.
class Interrupted extends Error {
  constructor(backup) {
    super("The delete has stopped.");
    this.code = "interrupted";
    this.backup = backup;
  }
}

// What goes along in other tables.
function along({ related = [], triggers = [] }) {
  return [
    related.length > 0 && element("p", {}, "Rows elsewhere that go along, and are in the backup too:"),
    related.length > 0 && element("ul", { class: "sample" }, related.map((one) => element("li", {}, element("code", {}, one.table), ` ${counted(one.rows, "row")} ${one.action}`))),
    triggers.length > 0 && element("p", { class: "muted" }, `Triggers that run: ${triggers.map((one) => `${one.name} on ${one.table}`).join(", ")}`),
  ];
}

customElements.define("pre-delete-backup", PreDeleteBackup);
