// How many conversations the running batches of a list have stored since the page was made.

import { Client, jobPath } from "../client.js";
import { formatCount } from "../dom.js";

export function followNew(notice) {
  const client = new Client(notice.dataset.root);
  const before = new Map(Object.entries(JSON.parse(notice.dataset.live)));
  const now = new Map(before);
  const following = new AbortController();
  window.addEventListener("pagehide", () => following.abort());
  for (const id of before.keys()) {
    client
      .follow(`${jobPath(id)}/events`, (name, data) => {
        if (name === "progress") show(id, data.job.completed);
      }, { signal: following.signal })
      .catch(() => {}); // without news, the list is as it was
  }

  function show(id, completed) {
    now.set(id, completed);
    const count = [...now].reduce((sum, [each, number]) => sum + number - before.get(each), 0);
    if (count <= 0) return;
    notice.hidden = false;
    notice.querySelector("[data-new]").textContent = `${formatCount(count, "new conversation")}.`;
  }
}
