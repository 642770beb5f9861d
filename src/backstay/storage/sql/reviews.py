"""Reads and changes the reviews of conversations. Implements `library.reviews.ReviewStore`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from backstay.clock import from_text, to_text
from backstay.errors import ReviewChanged, SettingsError
from backstay.library.id_text import quoted_id
from backstay.library.review import Review, ReviewStatus, too_many_tags_error
from backstay.library.review_change import ReviewChange, ReviewChangeResult
from backstay.library.reviews import SelectedConversation
from backstay.library.selection import Selection
from backstay.limits import MAX_TAGS
from backstay.storage.sql.database import MAX_KEY, Row, Session, SqlStore
from backstay.storage.sql.selection_conditions import selection_values


class SqlReviews(SqlStore):
    """The reviews of a database's conversations."""

    async def selected(
        self, owner: str, selection: Selection, *, after: int, limit: int
    ) -> Sequence[SelectedConversation]:
        values = {**selection_values(owner, selection), "after": after, "last": MAX_KEY, "limit": limit}

        def selected(session: Session) -> Sequence[SelectedConversation]:
            rows = session.rows("conversation_keys_after", values, selection=selection)
            return [SelectedConversation(key, conversation_id) for key, _, _, conversation_id in rows]

        return await self._database.read(selected, owner=owner)

    async def refuse_too_many_tags(self, owner: str, selection: Selection, change: ReviewChange) -> None:
        if change.tags is not None or not change.add_tags:
            return  # it is checked by itself, or adds none
        added = len(set(change.add_tags))
        changed = orjson.dumps([*change.add_tags, *change.remove_tags]).decode()
        values = {**selection_values(owner, selection), "changed_tags": changed, "most": MAX_TAGS - added}

        def refuse(session: Session) -> None:
            for conversation_id, others in session.rows("overfull_conversation", values, selection=selection):
                raise _named(too_many_tags_error(others + added), conversation_id)

        await self._database.read(refuse, owner=owner)

    async def change(
        self,
        owner: str,
        selection: Selection,
        ids: Sequence[str],
        change: ReviewChange,
        *,
        reviewer: str | None,
        expected: str | None = None,
    ) -> ReviewChangeResult:
        if not ids:
            return ReviewChangeResult(0, 0)
        again = replace(selection, ids=tuple(ids))
        values = selection_values(owner, again)

        def change_reviews(session: Session) -> ReviewChangeResult:
            # In the order in which deletes lock them, too.
            session.lock_many("locked_conversation_keys", [(conversation_id,) for conversation_id in ids], owner)
            rows = session.rows("still_selected", values, selection=again)
            before = find_reviews(session, owner, [key for key, _ in rows])
            changed, now = {}, self._clock.now()
            for key, conversation_id in rows:
                old = before.get(key, Review())
                new = _apply(change, old, conversation_id)
                if new != old:
                    _refuse_other(old, expected, conversation_id)
                    changed[key] = replace(new, reviewer=reviewer, reviewed_at=now)
            put_reviews(session, owner, changed, before)
            return ReviewChangeResult(len(changed), len(rows) - len(changed))

        return await self._database.write(change_reviews)


def find_reviews(session: Session, owner: str, keys: Iterable[int]) -> dict[int, Review]:
    """Return the reviews of those conversations with these keys that have one."""
    rows = session.select_many("reviews", [(key,) for key in keys], owner)
    return {
        key: Review(
            ReviewStatus(status or ReviewStatus.UNREVIEWED),
            rating,
            tuple(orjson.loads(tags)),
            note,
            reviewer,
            from_text(reviewed_at),
        )
        for key, status, rating, tags, note, reviewer, reviewed_at in rows
    }


def put_reviews(
    session: Session, owner: str, reviews: Mapping[int, Review], before: Mapping[int, Review] | None = None
) -> None:
    """Store the reviews of conversations in place of those they had `before`; an empty one only removes that.

    The conversations exist, and no other transaction can delete them or change their reviews.
    """
    before = before or {}
    rows: list[Row] = []
    added, removed = [], []
    for key, review in reviews.items():
        if review.is_empty:
            continue
        moment = to_text(review.reviewed_at) if review.reviewed_at is not None else None
        status = None if review.status is ReviewStatus.UNREVIEWED else str(review.status)
        rows.append((key, owner, status, review.rating, review.note, review.reviewer, moment))
        old_tags = before[key].tags if key in before else ()
        added += [(key, tag, owner) for tag in review.tags if tag not in old_tags]
        removed += [(key, tag) for tag in old_tags if tag not in review.tags]
    session.execute_many("drop_foreign_reviews", [(key,) for key in reviews], owner)
    session.execute_many("drop_reviews", [(key,) for key, review in reviews.items() if review.is_empty], owner)
    session.execute_many("put_reviews", rows)
    session.execute_many("drop_tags", removed, owner)
    session.execute_many("put_tags", added)


def _refuse_other(review: Review, expected: str | None, conversation_id: str) -> None:
    """Raise ReviewChanged unless a review is the expected one."""
    if expected not in (None, found := review.digest()):
        raise ReviewChanged(
            f"The review of conversation {quoted_id(conversation_id)} was changed since it was read; yours was not "
            "stored",
            conversation_id=conversation_id,
            expected=expected,
            found=found,
        )


def _apply(change: ReviewChange, review: Review, conversation_id: str) -> Review:
    try:
        return change.apply(review)
    except SettingsError as error:
        raise _named(error, conversation_id) from error


def _named(error: SettingsError, conversation_id: str) -> SettingsError:
    return error.with_message(f"Conversation {quoted_id(conversation_id)}: {error.message}", **error.context)
