"""Writes the verdicts on a group of attempts, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from backstay.batch.item import ItemState
from backstay.batch.outcome import Verdict
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.store import Lease
from backstay.clock import to_text
from backstay.errors import LeaseLost
from backstay.library.ids import new_ids
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.replacements import replace_conversations
from backstay.storage.sql.times import from_micros, to_micros


@dataclass(slots=True)
class CountChanges:
    """The change of each count by one transaction."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, state: ItemState, change: int) -> None:
        setattr(self, state, getattr(self, state) + change)

    def apply_to_counts(self, before: ItemCounts) -> ItemCounts:
        """Return the counts of a job after the changes."""
        return ItemCounts(
            before.pending + self.pending,
            before.running + self.running,
            before.completed + self.completed,
            before.failed + self.failed,
            before.skipped + self.skipped,
        )

    def apply_to_tokens(self, before: TokenCounts) -> TokenCounts:
        """Return the token counts of a job after the changes."""
        return TokenCounts(before.tokens_in + self.tokens_in, before.tokens_out + self.tokens_out)


def write_verdicts(
    session: Session, lease: Lease, verdicts: Sequence[Verdict], now: int, changes: CountChanges
) -> None:
    """Write conversations, turns, item states and attempts, and add the changed counts to `changes`.

    Raises:
        LeaseLost: an item no longer belongs to this worker.
        ReplacementRefused, BackupUnusable: a conversation must not replace the one that its job makes again.
    """
    if not verdicts:
        return
    stored = [verdict for verdict in verdicts if verdict.conversation is not None]
    ids: Mapping[int, str] = {}
    if stored and lease.is_replacing:
        replace_conversations(
            session, lease, stored, now, lambda job_id: _insert_conversations(session, lease.owner, job_id, stored, now)
        )
    elif stored:
        ids = _insert_conversations(session, lease.owner, lease.job_id, stored, now)
    finished: list[Row] = []
    attempts: list[Row] = []
    owner, key, token = lease.owner, lease.job_key, lease.token
    for verdict in verdicts:
        claimed, usage = verdict.claimed, verdict.usage
        due = now + int(verdict.delay_seconds * 1e6) if verdict.delay_seconds else 0
        result_id = ids.get(claimed.position)
        finished.append((claimed.position, claimed.attempt, verdict.state, result_id, verdict.uses_up_try, due))
        attempts.append(
            (key, claimed.position, claimed.attempt, owner, token, verdict.result, verdict.code, verdict.message,
             usage.raw if verdict.state is not ItemState.COMPLETED else None, usage.tokens_in, usage.tokens_out,
             to_micros(claimed.started_at), now, usage.traceback)
        )  # fmt: skip
        changes.add(verdict.state, +1)
        changes.running -= 1
        changes.tokens_in += usage.tokens_in
        changes.tokens_out += usage.tokens_out
    if session.execute_many("finish_items", finished, token, key) != len(finished):
        raise LeaseLost(
            "An item was claimed by another worker while this token was current; this group was not stored", token=token
        )
    session.execute_many("insert_attempts", attempts)


def _insert_conversations(
    session: Session, owner: str, job_id: str, verdicts: Sequence[Verdict], now: int
) -> dict[int, str]:
    """Store the conversations of a job's completed items and return their ids by position."""
    stored_at = to_text(from_micros(now))
    keys = iter(session.rows("allocate_conversation_keys", {"count": len(verdicts)}))
    ids: dict[int, str] = {}
    conversations: list[Row] = []
    turns: list[Row] = []
    for verdict, fresh_id in zip(verdicts, new_ids(len(verdicts)), strict=True):
        conversation, item = verdict.conversation, verdict.claimed.item
        if conversation is None:
            continue
        key, assigned_id = next(keys)
        conversation_id = ids[verdict.claimed.position] = conversation.id or assigned_id or fresh_id
        topic = item.topic if conversation.topic is None else conversation.topic
        persona = item.persona if conversation.persona is None else conversation.persona
        conversations.append(
            (key, owner, conversation_id, topic, persona, conversation.content,
             _to_json({**verdict.provenance, **conversation.stored_metadata()}), job_id, item.id, stored_at, stored_at)
        )  # fmt: skip
        turns += [
            (key, sequence, owner, turn.id, turn.role, turn.content, _to_json(turn.stored_metadata()))
            for sequence, turn in enumerate(conversation.turns, start=1)
        ]
    session.execute_many("insert_conversations", conversations)
    session.execute_many("insert_turns", turns)
    return ids


def _to_json(value: Mapping[str, Any] | None) -> str | None:
    return orjson.dumps(dict(value)).decode() if value else None
