// Every page with a session: report that it has ended, and that the page continues once the user has signed in again.

import { Client } from "../client.js";

const MAX_PAUSE_MS = 60_000; // the session may be ended elsewhere
const SIGNED_OUT_PAUSE_MS = 5_000;

const notice = document.querySelector("[data-session]");
const client = new Client(notice.dataset.root);
let timer = null;

async function check() {
  clearTimeout(timer);
  let pause = SIGNED_OUT_PAUSE_MS;
  try {
    const session = await client.get("/api/session");
    pause = timeLeft(session.endsAt);
    notice.hidden = true;
  } catch (error) {
    if (error.status === 401) notice.hidden = false;
  }
  timer = setTimeout(check, pause);
}

function timeLeft(endsAt) {
  return Math.min(Math.max(new Date(endsAt).getTime() - Date.now(), 0) + 500, MAX_PAUSE_MS);
}

document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && check());
timer = setTimeout(check, timeLeft(notice.dataset.session));
