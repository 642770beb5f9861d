// Signing in with a token of the app: its page uses the token, and Backstay's own pages a cookie from the same token.

import { Client, configure, currentToken } from "./client.js";

const MIN_RENEWAL_MS = 30_000;
const MAX_RENEWAL_MS = 86_400_000;

let renewal = null;
let renewing = null;

// Sign in with a token: a string, or a function that returns a string or a promise of one, which is asked for a new token
// before the session ends. Returns the session; `hasCookie` is false on a page of another site than the server's, from
// which only `openPage` reaches the pages. Throws an error if the token is not valid.
export async function signIn(token, { api } = {}) {
  if (typeof token !== "string" && typeof token !== "function") {
    throw new TypeError("signIn needs a token, or a function that returns one.");
  }
  const former = configure({ api });
  const opening = openSession(token);
  // Requests of elements on this page wait until the token is known to be valid.
  configure({ token: () => opening.then(() => (typeof token === "function" ? token() : token)) });
  try {
    const session = await opening;
    renewLater(token, session);
    return session;
  } catch (error) {
    configure({ token: former.token });
    throw error;
  }
}

// End the user's sessions, and forget the token. Call it while the token is still available.
export async function signOut() {
  clearTimeout(renewal);
  await renewing;
  clearTimeout(renewal);
  const { token } = await currentToken().catch(() => ({ token: null }));
  configure({ token: null });
  try {
    await new Client(undefined, token).delete("/api/session", { credentials: "include" });
  } catch (error) {
    if (error.status !== 401) throw error; // signed out already
  }
}

// Open a page of Backstay, signed in with the token of `signIn`. This works from every site: a browser takes a cookie from
// the response to a form, but not from a request of another site.
export async function openPage(page = "/batches", { target = "_self" } = {}) {
  const { api, token } = await currentToken();
  if (!token) {
    window.open(`${api}${page}`, target);
    return;
  }
  const form = document.createElement("form");
  form.method = "post";
  form.action = `${api}/sign-in`;
  form.target = target;
  for (const [name, value] of Object.entries({ token, page })) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}

function openSession(token) {
  return new Client(undefined, token).post("/api/session", undefined, { credentials: "include" });
}

function renewLater(token, session) {
  clearTimeout(renewal);
  if (typeof token !== "function" || session.endsAt === null) return;
  const left = new Date(session.endsAt).getTime() - Date.now();
  const renew = () => { renewing = renewOnce(token, session); };
  renewal = setTimeout(renew, Math.min(Math.max(left / 2, MIN_RENEWAL_MS), MAX_RENEWAL_MS));
}

// A failure is not reported: the elements report their own, and the session ends by itself.
async function renewOnce(token, session) {
  const renewed = await openSession(token).catch(() => session);
  if (new Date(renewed.endsAt) > new Date()) renewLater(token, renewed);
}
