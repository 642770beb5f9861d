// The list by keyboard: the focus moves from row to row, and keys open, select and judge the focused one.

import { Client } from "../client.js";
import { onKey, say } from "./keys.js";
import { recall, remember } from "./read_last.js";
import { idOf } from "./selection.js";

const form = document.querySelector("[data-selecting]");
if (form !== null) enhance(form);

function enhance(page) {
  const rows = [...page.querySelectorAll("tbody tr")];
  const client = new Client(page.dataset.root);
  let last = null; // what the last judgement changed
  let isBusy = false;

  const link = (row) => row.querySelector("th a");
  const box = (row) => row.querySelector("input[name=id]");
  const focused = () => rows.find((row) => row.contains(document.activeElement)) ?? null;

  const move = (by) => {
    const row = focused();
    const next = rows[row === null ? 0 : rows.indexOf(row) + by];
    if (next !== undefined) return link(next).focus();
    const other = document.querySelector(by > 0 ? "a[rel=next]" : "a[rel=prev]");
    if (other === null) return say(by > 0 ? "End of the list" : "Start of the list");
    remember({ end: by > 0 ? "first" : "last" });
    other.click();
  };

  const judge = async (change, target = focused(), undone = null) => {
    if (target === null) return say("No conversation has the focus: press j first");
    if (isBusy) return;
    isBusy = true;
    try {
      const address = `/api/conversations/${encodeURIComponent(idOf(box(target).value))}`;
      const { review: before } = await client.get(address);
      // An undo expects what the judgement left: it takes back nothing that was changed since.
      const { review } = await client.patch(address, { ...change, expected: undone?.digest ?? before.digest });
      last = undone !== null ? null : { row: target, digest: review.digest, change: { status: before.status, rating: before.rating } };
      draw(target, review);
      say(`${link(target).textContent}: ${review.status}${review.rating === null ? "" : `, rated ${review.rating}`}.`);
      if (undone !== null) link(target).focus();
      else if ("status" in change) move(1);
    } catch (error) {
      say(error.message);
    } finally {
      isBusy = false;
    }
  };

  onKey({
    j: () => move(1),
    k: () => move(-1),
    o: () => link(focused() ?? rows[0]).click(),
    x: () => {
      const row = focused();
      if (row === null) return say("No conversation has the focus: press j first");
      box(row).click();
    },
    y: () => judge({ status: "kept" }),
    n: () => judge({ status: "rejected" }),
    u: () => (last === null ? say("Nothing to undo") : judge(last.change, last.row, last)),
    ...Object.fromEntries([1, 2, 3, 4, 5].map((rating) => [rating, () => judge({ rating })])),
  });

  const { id, end } = recall();
  const start = end === "first" ? rows[0] : end === "last" ? rows.at(-1) : rows.find((row) => box(row).value === id);
  if (start !== undefined) link(start).focus();
}

// Show the review of a row.
function draw(row, review) {
  const shown = row.querySelector("[data-label=Review] > span");
  const parts = [review.status === "unreviewed" ? "" : `${review.status} `, review.rating === null ? "" : `${review.rating}/5 `];
  const tags = review.tags.flatMap((tag) => {
    const mark = document.createElement("bdi");
    mark.className = "tag";
    mark.textContent = tag;
    return [mark, " "];
  });
  shown.replaceChildren(...parts.filter(Boolean), ...tags);
}
