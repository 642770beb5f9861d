// A form whose texts are not saved: the browser asks before it leaves the page.

const form = document.querySelector("[data-unsaved]");
let isChanged = form?.dataset.unsaved === "true";

form?.addEventListener("input", () => { isChanged = true; });
form?.addEventListener("submit", () => { isChanged = false; });
window.addEventListener("beforeunload", (event) => { if (isChanged) event.preventDefault(); });
