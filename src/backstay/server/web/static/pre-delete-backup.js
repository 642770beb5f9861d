// <pre-delete-backup>: shows what a delete would remove, backs it up, verifies, and only then deletes.
//
// Attributes: api, open. Properties: token, isOpen, conversationIds, selection (as the API takes it).
// Methods: ask(selection), close().
// Events: confirm-delete {selection, backup} (cancelable), progress, deleted {deletion}, failed {error}, undone {restored},
// close.

import "./backup-progress.js";
import { downloadLink } from "./backup-progress.js";
import { clipped, counted, distance, element, number, printedId, size } from "./dom.js";
import { BackstayElement, problem, skeleton } from "./element.js";

const PHRASE = "delete for good";

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
    this.#put("Delete conversations?", skeleton("", "", "short"), this.#row());
    this.#dialog.showModal();
    try {
      const plan = await this.client.post("/api/conversations/delete-plan", { selection: this.#selection, ignoreMissing: true }, { signal: this.signal });
      if (opened !== this.#dialog) return; // closed meanwhile, or opened anew about something else
      if (plan.conversations === 0) this.#put("Nothing to delete", element("p", {}, "What was selected is not there any more."), this.#row("Close"));
      else this.#propose(plan);
    } catch (error) {
      if (opened === this.#dialog) this.#stopped(error);
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
      element("label", { for: "backup" }, backup, "Back them up first"),
      element("p", { class: "muted" }, "The backup is read back and compared before anything is deleted. With it, the delete can be undone."),
      warning,
      this.#row("Keep them", go),
    );
    this.#dialog.querySelector("button[part~=keep]").focus();
  }

  async #delete(plan, backup) {
    if (!this.tell("confirm-delete", { selection: this.#selection, backup }, { cancelable: true })) return this.close();
    const shown = element("backup-progress", { deleting: true });
    this.#isBusy = true;
    this.#put(backup ? "Backing up, then deleting" : "Deleting", shown);
    shown.progress = { phase: backup ? "writing" : "deleting", conversations: 0, total: plan.conversations, contentBytes: 0 };
    const body = { selection: this.#selection, digest: plan.digest, ignoreMissing: true };
    if (!backup) body.withoutBackup = PHRASE;
    try {
      let deletion = null;
      await this.client.stream("/api/conversations/delete/events", body, (name, data) => {
        if (name === "progress") {
          shown.progress = data;
          this.tell("progress", data);
        } else if (name === "deleted") {
          deletion = data;
        } else if (name === "error") {
          throw Object.assign(new Error(data.error.message), data.error);
        }
      });
      if (deletion === null) throw new Error("The connection was lost. The page of backups shows whether the delete was finished.");
      this.#isBusy = false;
      this.#deleted(deletion);
    } catch (error) {
      this.#isBusy = false;
      this.#stopped(error);
      this.tell("failed", { error });
    }
  }

  async #deleted(deletion) {
    const place = element("div", { "aria-live": "polite" });
    const done = element("button", { type: "button", class: "primary", onclick: () => this.close() }, "Done");
    const kept = deletion.changed > 0 && element("p", {}, `${counted(deletion.changed, "conversation")} kept, because somebody changed them meanwhile.`);
    const heading = `${counted(deletion.deleted, "conversation")} deleted`;
    if (deletion.backupId === null) {
      this.#put(heading, kept, element("p", {}, "There is no backup of them."), element("div", { class: "row" }, done));
    } else {
      const undo = element("button", { type: "button", part: "undo", onclick: () => this.#undo(undo, place, deletion) }, "Undo");
      const expiry = element("p", {}, "All of them are in a verified backup.");
      this.#put(heading, kept, expiry, place, element("div", { class: "row" }, done, undo, downloadLink(this.client, deletion.backupId)));
      this.client.get(`/api/backups/${encodeURIComponent(deletion.backupId)}`).then(
        (backup) => {
          if (backup.expiresAt !== null) expiry.textContent = `All of them are in a verified backup, which expires ${distance(backup.expiresAt)}.`;
        },
        () => {},
      );
    }
    done.focus();
    this.tell("deleted", { deletion });
  }

  async #undo(button, place, deletion) {
    button.disabled = true;
    try {
      const restored = await this.client.post(`/api/backups/${encodeURIComponent(deletion.backupId)}/restore`);
      place.replaceChildren(element("p", { class: "good" }, `${number(restored.restored)} restored: all is as it was.`));
      button.remove();
      this.tell("undone", { restored });
    } catch (error) {
      place.replaceChildren(problem(error));
      button.disabled = false;
    }
  }

  #stopped(error) {
    this.#put("Nothing more was done", problem(error), this.#row("Close"));
    this.#dialog?.querySelector("button").focus();
  }

  #put(heading, ...children) {
    this.#dialog?.replaceChildren(element("h2", { id: "heading" }, heading), ...children.filter(Boolean));
  }

  #row(label = "Keep them", ...more) {
    return element("div", { class: "row" }, element("button", { type: "button", part: "keep", onclick: () => this.close() }, label), ...more);
  }

  #closed() {
    this.#dialog = null;
    this.show();
    this.isOpen = false;
    this.tell("close");
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
