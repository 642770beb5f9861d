// Keys of a page: each presses the control that names it in `data-key`, or focuses it if it is a field.
//
// A key does nothing while the user types in a field, together with Ctrl, Alt or Meta, while it is held down, or while a
// dialog is open. In a field, Escape leaves it. Ctrl+Enter presses the button that saves, in a field as well.

const FIELDS = "textarea, select, input:not([type=checkbox]):not([type=radio]), [contenteditable]";
const DIALOGS = "dialog, pre-delete-backup, resume-dialog";
const SUBMIT_MS = 1_000; // in which a page that was sent is left

const announced = document.querySelector("[data-said]");
const own = {};
let sentAt = Number.NEGATIVE_INFINITY;

// Announce a text, and show it.
export function say(text) {
  if (announced === null) return;
  announced.textContent = "";
  // Screen readers announce what changes after the region is there.
  requestAnimationFrame(() => { announced.textContent = text; });
}

// Return the control of a key on this page; null if there is none.
export function controlOf(key) {
  return document.querySelector(`[data-key~="${CSS.escape(key)}"]:not([hidden])`);
}

// Call an action of the page for its key, instead of pressing a control.
export function onKey(actions) {
  Object.assign(own, actions);
}

// Return the key of an event. On a keyboard without Latin letters it is the one that has the same place on others.
function keyOf({ key, code }) {
  return /^[\x20-\x7e]+$/.test(key) ? key : code.replace(/^(Key|Digit)/, "").toLowerCase();
}

function isDialogOpen() {
  return [...document.querySelectorAll(DIALOGS)].some((each) => (each.shadowRoot ?? each.parentNode).querySelector("dialog[open]") !== null);
}

function press(control) {
  if (control.matches(FIELDS)) {
    control.focus();
    control.scrollIntoView({ block: "center" });
  } else if (control.matches("a, button")) {
    if (!control.disabled) control.click();
  } else say(control.textContent);
}

function isConfirmation(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey);
}

// Press the button that saves what is typed: of a field's form, or of the only form that has one.
function confirm(event, field) {
  const button = (field?.form ?? document).querySelector('[data-key="Ctrl+Enter"]');
  if (button === null) return;
  event.preventDefault();
  button.form.requestSubmit(button);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.repeat || isDialogOpen() || event.timeStamp - sentAt < SUBMIT_MS) return;
  const field = event.composedPath()[0].closest?.(FIELDS);
  if (isConfirmation(event)) {
    confirm(event, field);
  } else if (field) {
    if (event.key === "Escape") field.blur();
  } else if (!event.ctrlKey && !event.altKey && !event.metaKey) {
    const key = keyOf(event);
    const control = controlOf(key);
    const action = own[key] ?? (control !== null ? () => press(control) : null);
    if (action === null) return;
    event.preventDefault();
    action();
  }
});

// The first of two presses is being sent: a second one would be about the same conversation.
document.addEventListener("submit", (event) => { sentAt = event.timeStamp; });

for (const button of document.querySelectorAll("[data-opens]")) {
  const dialog = document.getElementById(button.dataset.opens);
  button.hidden = false;
  button.addEventListener("click", () => dialog.showModal());
  dialog.querySelector("[data-closes]").addEventListener("click", () => dialog.close());
}

// A page that the browser kept shows what was stored then.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });

// A notice that the page had when it was loaded is announced, too: its text comes back before the next frame.
const notice = document.querySelector("div.notice[role=status] > span:first-child, p.notice[role=status]:not([hidden])");
if (notice !== null) {
  const texts = [...notice.childNodes];
  notice.replaceChildren();
  requestAnimationFrame(() => notice.replaceChildren(...texts));
}
