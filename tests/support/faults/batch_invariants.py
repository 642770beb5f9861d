"""The one checker of what Backstay promises about batches. Every fault test ends with it.

B1  an item reported done is on disk, exactly once
B2  a completed item has its one conversation, a recorded deletion of it, or a recorded None; no other item has one
B3  a conversation as it was first stored is what the processor answered for that item in that attempt
B4  nothing was written by the holder of an outdated token
B5  calls ≤ items × attempts + crashes × concurrency, none for a completed item unless it is made again; crashes fail no
    innocent item
B6  when faults stop, every job is final or paused, and nobody holds anything
B7  planned = pending + running + completed + failed + skipped; counters equal rows

An item can be made, or made again, only while its input is stored: as a row, or in one block of its job.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import zstandard

from support.faults.ledger import Witness
from support.stores.sql import Ask, asking, is_server

_STATES = ("pending", "running", "completed", "failed", "skipped")
_ORDINARY = "job_key NOT IN (SELECT job_key FROM regenerations)"
_MAKING_AGAIN = "job_key IN (SELECT job_key FROM regenerations)"
_AT_REST = ("completed", "completed_with_failures", "paused", "cancelled")


class BrokenPromise(AssertionError):
    """The checker found broken promises after a test, which is then not run again."""

    def __init__(self, broken: list[str]) -> None:
        super().__init__("\n".join(broken))
        self.promises = {line.partition(":")[0] for line in broken}


def refuse(broken: list[str]) -> None:
    """Raise BrokenPromise if a checker found any violation."""
    if broken:
        raise BrokenPromise(broken)


def violations(
    database: Path | str,
    witness: Witness | None = None,
    *,
    planned: int | None = None,
    crashes: int = 0,
    concurrency: int = 0,
    may_fail: frozenset[str] = frozenset(),
    at_rest: bool = True,
    renewed: frozenset[str] = frozenset(),
    reopened: frozenset[str] = frozenset(),
    again: Witness | None = None,
) -> list[str]:
    """Return every broken promise, each as a line that starts with its number; none when all hold.

    Args:
        witness: What the processes did, where that was written down.
        planned: How many items the one job must have.
        crashes: Workers that died with calls in flight.
        concurrency: Of each of them.
        may_fail: Ids of items that were meant to fail.
        at_rest: The faults are over and every job was worked on to its end.
        renewed: Jobs whose names, or items, were used before, so that earlier results of theirs may be there, too.
        reopened: Jobs that got more work after they were cleaned, so that only attempts since then are recorded.
        again: What the processes did that made conversations again.
    """
    with asking(database) as ask:
        broken = [] if is_server(database) else _damage(ask)
        broken += [*_conversations(ask, renewed), *_counters(ask), *_attempts(ask, reopened), *_evidence(ask)]
        broken += [*_inputs(ask), *_replacements(ask)]
        if planned is not None:
            broken += _planned(ask, planned)
        if at_rest:
            broken += _rest(ask, may_fail)
        if witness is not None:
            broken += _answers(ask, witness, again or Witness())
            broken += _calls(ask, witness, _ORDINARY, crashes if again is None else 0, concurrency)
        if again is not None:
            broken += _calls(ask, again, _MAKING_AGAIN, crashes, concurrency)
        return broken


def _damage(ask: Ask) -> list[str]:
    broken = [f"damaged: {text}" for (text,) in ask("PRAGMA integrity_check") if text != "ok"]
    return broken + [f"dangling: {row}" for row in ask("PRAGMA foreign_key_check")]


def _conversations(ask: Ask, renewed: frozenset[str]) -> list[str]:
    broken = []
    for job, item, count in ask(
        """SELECT job_id, item_id, count(*) FROM conversations
            WHERE item_id IS NOT NULL GROUP BY owner, job_id, item_id HAVING count(*) > 1"""
    ):
        if job not in renewed:
            broken.append(f"B2: item {item} of {job} has {count} conversations")
    for job, item, state in ask(
        """SELECT jobs.id, items.id, items.state
             FROM conversations
             JOIN jobs ON jobs.owner = conversations.owner AND jobs.id = conversations.job_id
             JOIN items ON items.job_key = jobs.key AND items.id = conversations.item_id
            WHERE items.state <> 'completed' OR items.conversation_id IS DISTINCT FROM conversations.id"""
    ):
        if job not in renewed:
            broken.append(f"B2: item {item} of {job} is {state} but has a conversation that is not its result")
    for job, item in ask(
        """SELECT jobs.id, items.id
             FROM items
             JOIN jobs ON jobs.key = items.job_key
        LEFT JOIN conversations ON conversations.owner = jobs.owner AND conversations.id = items.conversation_id
            WHERE items.state = 'completed' AND items.conversation_id IS NOT NULL AND conversations.key IS NULL
              AND items.deleted_at IS NULL"""
    ):
        broken.append(f"B2: completed item {item} of {job} has lost its conversation")
    for job, item in ask(
        """SELECT jobs.id, items.id
             FROM items
             JOIN jobs ON jobs.key = items.job_key
        LEFT JOIN conversations ON conversations.owner = jobs.owner AND conversations.id = items.conversation_id
            WHERE items.deleted_at IS NOT NULL AND (items.state <> 'completed' OR conversations.key IS NOT NULL)"""
    ):
        broken.append(f"B2: item {item} of {job} says that its conversation was deleted, and it was not")
    for (key,) in ask(
        """SELECT key FROM conversations WHERE NOT EXISTS (SELECT 1 FROM turns WHERE conversation_key = key)"""
    ):
        broken.append(f"B2: conversation {key} has no turns")
    return broken


def _replacements(ask: Ask) -> list[str]:
    """A conversation was replaced exactly if the item that made its successor is completed."""
    broken = []
    for job, item, state, old in ask(
        """SELECT jobs.id, items.id, items.state, replacements.old_id
             FROM replacements
             JOIN jobs ON jobs.key = replacements.job_key
             JOIN items ON items.job_key = jobs.key AND items.position = replacements.position
            WHERE replacements.new_id IS NOT NULL AND items.state <> 'completed'"""
    ):
        broken.append(f"B2: item {item} of {job} is {state}, but has replaced {old}")
    for job, item, conversation in ask(
        """SELECT jobs.id, items.id, items.conversation_id
             FROM items
             JOIN jobs ON jobs.key = items.job_key
             JOIN regenerations ON regenerations.job_key = jobs.key
            WHERE items.conversation_id IS NOT NULL"""
    ):
        broken.append(f"B2: item {item} of {job} has conversation {conversation}, which is a result of another job")
    for old, backup in ask(
        """SELECT replacements.old_id, replacements.backup_id
             FROM replacements
            WHERE replacements.backup_id IS NOT NULL
              AND (replacements.owner, replacements.old_id) NOT IN (SELECT owner, id FROM conversations)
              AND NOT EXISTS (SELECT 1 FROM backups JOIN backup_items ON backup_items.backup_key = backups.key
                               WHERE backups.owner = replacements.owner AND backups.id = replacements.backup_id
                                 AND backup_items.id = replacements.old_id AND backups.verified_at IS NOT NULL)"""
    ):
        broken.append(f"K1: conversation {old} was replaced, and {backup} does not hold it")
    return broken


def _counters(ask: Ask) -> list[str]:
    broken = []
    for key, name, *counted in ask(
        """SELECT jobs.key, jobs.id,
                  jobs.pending + coalesce(sum(w.pending), 0), jobs.running + coalesce(sum(w.running), 0),
                  jobs.completed + coalesce(sum(w.completed), 0), jobs.failed + coalesce(sum(w.failed), 0),
                  jobs.skipped + coalesce(sum(w.skipped), 0)
             FROM jobs LEFT JOIN workers AS w ON w.job_key = jobs.key
            WHERE jobs.state <> 'creating' GROUP BY jobs.key"""
    ):
        states = ask("SELECT state, count(*) FROM items WHERE job_key = ? GROUP BY state", key)
        rows: Counter[str] = Counter(dict(states))
        for state, number in zip(_STATES, counted, strict=True):
            if rows[state] != number:
                broken.append(f"B7: {name} counts {number} {state}, its rows say {rows[state]}")
    return broken


def _attempts(ask: Ask, reopened: frozenset[str]) -> list[str]:
    """Each attempt that ended has one row; what ended the item agrees with its state."""
    broken = []
    for job, item, state, attempt, count, last in ask(
        """SELECT jobs.id, items.id, items.state, items.attempt,
                  count(attempts.number), coalesce(max(attempts.number), 0)
             FROM items
             JOIN jobs ON jobs.key = items.job_key AND jobs.cleaned_at IS NULL AND jobs.state <> 'completed'
        LEFT JOIN attempts ON attempts.job_key = items.job_key AND attempts.position = items.position
            GROUP BY jobs.key, items.job_key, items.position"""
    ):
        ended = attempt - (state == "running")
        if job in reopened and (count == 0 or (last == ended and count <= ended)):
            continue
        if (count, last) != (ended, ended):
            broken.append(f"B4: item {item} of {job} is {state} after {attempt} attempts, {count} of them recorded")
    for job, item, worker in ask(
        """SELECT jobs.id, items.id, items.worker
             FROM items JOIN jobs ON jobs.key = items.job_key
            WHERE items.state = 'running' AND items.worker NOT IN (SELECT token FROM workers)"""
    ):
        broken.append(f"B6: item {item} of {job} is held by worker {worker}, which has no lease")
    return broken


def _inputs(ask: Ask) -> list[str]:
    """Each item has its input in exactly one place, and a block has exactly the inputs that it says."""
    broken = []
    for job, item, state, rows, blocks in ask(
        """SELECT jobs.id, items.id, items.state,
                  (SELECT count(*) FROM item_inputs AS inputs
                    WHERE inputs.job_key = items.job_key AND inputs.position = items.position),
                  (SELECT count(*) FROM input_blocks AS blocks
                    WHERE blocks.job_key = items.job_key
                      AND items.position BETWEEN blocks.first_position AND blocks.last_position)
             FROM items JOIN jobs ON jobs.key = items.job_key
            WHERE jobs.id IS NOT NULL"""
    ):
        if (rows, blocks) not in (((1, 0), (0, 1)) if state in ("completed", "skipped") else ((1, 0),)):
            broken.append(f"inputs: item {item} of {job} is {state} with {rows} inputs as rows, {blocks} in blocks")
    for first, last, content in ask("SELECT first_position, last_position, content FROM input_blocks"):
        count = len(json.loads(zstandard.ZstdDecompressor().decompress(content)))
        if count != last - first + 1:
            broken.append(f"inputs: the block of positions {first} to {last} has {count} inputs")
    return broken


def _evidence(ask: Ask) -> list[str]:
    """A pause names attempts that ended without settling their items; where there is no pause nothing is named."""
    broken = []
    for key, name, state, evidence in ask(
        "SELECT key, id, state, pause_evidence FROM jobs WHERE pause_evidence IS NOT NULL AND id IS NOT NULL"
    ):
        if state != "paused":
            broken.append(f"B4: {name} is {state}, and says what it paused on")
        results = {
            (position, number): result
            for position, number, result in ask("SELECT position, number, result FROM attempts WHERE job_key = ?", key)
        }
        for position, number in json.loads(evidence):
            if results.get((position, number)) in (None, "completed", "skipped"):
                broken.append(f"B4: {name} paused on attempt {number} of its item {position}, which led to no pause")
    return broken


def _planned(ask: Ask, planned: int) -> list[str]:
    (rows,) = ask("SELECT count(*) FROM items")[0]
    return [] if rows == planned else [f"B7: {planned} items were planned, {rows} are there"]


def _rest(ask: Ask, may_fail: frozenset[str]) -> list[str]:
    broken = [
        f"B6: job {name} is {state} for ever"
        for name, state in ask("SELECT id, state FROM jobs")
        if state not in _AT_REST
    ]
    broken += [f"B6: worker {token} still holds a lease" for (token,) in ask("SELECT token FROM workers")]
    broken += [f"B6: item {item} is still running" for (item,) in ask("SELECT id FROM items WHERE state = 'running'")]
    broken += [
        f"B5: innocent item {item} failed"
        for (item,) in ask("SELECT id FROM items WHERE state = 'failed'")
        if item not in may_fail
    ]
    return broken


_RESULTS = """FROM items
        LEFT JOIN replacements ON replacements.owner = items.owner AND replacements.new_id = items.conversation_id
        LEFT JOIN items AS makers ON makers.job_key = replacements.job_key AND makers.position = replacements.position
             JOIN conversations ON conversations.owner = items.owner AND conversations.id = items.conversation_id"""
_MAKER = "items.id, coalesce(makers.attempt, items.attempt), makers.attempt IS NOT NULL"
_STORED_ANSWERS = f"""SELECT {_MAKER}, turns.content
             {_RESULTS}
             JOIN turns ON turns.conversation_key = conversations.key AND turns.role = 'assistant'
            WHERE items.state = 'completed'
              AND NOT EXISTS (SELECT 1 FROM conversation_versions WHERE conversation_key = conversations.key)"""
_FIRST_VERSIONS = f"""SELECT {_MAKER}, versions.line
             {_RESULTS}
             JOIN conversation_versions AS versions ON versions.conversation_key = conversations.key
            WHERE items.state = 'completed' AND versions.number = 1"""


def _first_answers(ask: Ask) -> list[tuple[Any, ...]]:
    """Return the answers of edited conversations as they were first stored."""
    return [
        (item, attempt, is_again, turn["content"])
        for item, attempt, is_again, line in ask(_FIRST_VERSIONS)
        for turn in json.loads(line)["conversation_turns"]
        if turn["role"] == "assistant"
    ]


def _answers(ask: Ask, witness: Witness, again: Witness) -> list[str]:
    answered = {(item, attempt, False): nonce for item, attempt, nonce in witness.calls}
    answered |= {(item, attempt, True): nonce for item, attempt, nonce in again.calls}
    broken = []
    for item, attempt, is_again, text in [*ask(_STORED_ANSWERS), *_first_answers(ask)]:
        if answered.get((item, attempt, bool(is_again))) != text:
            broken.append(f"B3: what is stored for item {item} is not the answer of its attempt {attempt}")
    for item, attempt, _, metadata in ask(
        f"SELECT {_MAKER}, conversations.metadata {_RESULTS} WHERE items.state = 'completed'"
    ):
        if json.loads(metadata or "{}").get("generation", {}).get("attempt") != attempt:
            broken.append(f"B3: the conversation of item {item} does not say that its attempt {attempt} made it")
    (completed,) = ask(f"SELECT count(*) FROM items WHERE state = 'completed' AND {_ORDINARY}")[0]
    if completed < witness.reported:
        broken.append(f"B1: {witness.reported} items were reported completed, {completed} are on disk")
    return broken


def _calls(ask: Ask, witness: Witness, jobs: str, crashes: int, concurrency: int) -> list[str]:
    broken = []
    counted = Counter((item, attempt) for item, attempt, _ in witness.calls)
    broken += [f"B5: attempt {key[1]} of item {key[0]} was called {n} times" for key, n in counted.items() if n > 1]
    items = {
        item: (state, attempt) for item, state, attempt in ask(f"SELECT id, state, attempt FROM items WHERE {jobs}")
    }
    allowed = crashes * concurrency
    for item, attempt, _ in witness.calls:
        state, last = items[item]
        if state == "completed" and attempt > last:
            broken.append(f"B5: item {item} was called again after it was completed")
    settled = sum(state in ("completed", "failed", "skipped") for state, _ in items.values())
    if len(witness.calls) > settled + allowed + sum(_tries(ask, jobs)):
        broken.append(f"B5: {len(witness.calls)} calls for {settled} settled items and {allowed} in flight at crashes")
    return broken


def _tries(ask: Ask, jobs: str) -> list[int]:
    statement = f"SELECT count(*) FROM attempts WHERE result IN ('retried', 'doomed', 'released') AND {jobs}"
    return [number for (number,) in ask(statement)]
