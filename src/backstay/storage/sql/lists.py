"""Reads lists of conversations. Implements `library.lists.ListStore`."""

from collections.abc import Sequence

import orjson

from backstay.library.lists import ConversationSummary, Position, Sort, format_opening
from backstay.library.selection import LAST_IMPORT, Selection
from backstay.storage.sql.database import MAX_KEY, Session, SqlStore, Values
from backstay.storage.sql.key_ranges import key_ranges
from backstay.storage.sql.reviews import find_reviews
from backstay.storage.sql.selection_conditions import selection_values
from backstay.storage.sql.text_search import by_text_index, text_values

_STATEMENTS = {
    Sort.NEWEST: "list_newest",
    Sort.OLDEST: "list_oldest",
    Sort.LONGEST: "list_longest",
    Sort.SHORTEST: "list_shortest",
    Sort.MOST_TURNS: "list_most_turns",
    Sort.FEWEST_TURNS: "list_fewest_turns",
    Sort.HIGHEST_RATED: "list_highest_rated",
    Sort.LOWEST_RATED: "list_lowest_rated",
}
_WITHOUT_INDEX = {Sort.NEWEST: "list_newest_without_index", Sort.OLDEST: "list_oldest_without_index"}
# The part of the conversations that must contain a text for scanning to be faster than the text index: a page needs few
# matches, a total up to 50,000.
_COMMON_IN_PAGE = 0.01
_COMMON_IN_TOTAL = 0.25


class SqlLists(SqlStore):
    """The lists of conversations of a database."""

    async def summaries(
        self, owner: str, selection: Selection, *, sort: Sort, after: Position, limit: int
    ) -> Sequence[ConversationSummary]:
        name = _STATEMENTS[sort]
        if not _needs_index(selection):
            name = _WITHOUT_INDEX.get(sort, name)
        values = {**selection_values(owner, selection), "limit": limit}

        def summaries(session: Session) -> Sequence[ConversationSummary]:
            chosen = by_text_index(session, values, selection, least=_COMMON_IN_PAGE)
            if sort.has_values:
                place = {"key": after.key, "value": after.value, **text_values(selection)}
                keys = [key for key, _ in session.rows(name, {**values, **place}, selection=chosen)]
            else:
                keys = _keys_by_age(session, name, values, chosen, sort=sort, after=after.key)
            return _summaries(session, owner, keys)

        return await self._database.read(summaries, owner=owner)

    async def total(self, owner: str, selection: Selection, *, limit: int) -> int:
        name = "count_entries" if _needs_index(selection) else "count_conversations_up_to"
        values = selection_values(owner, selection)

        def total(session: Session) -> int:
            count, chosen = 0, by_text_index(session, values, selection, least=_COMMON_IN_TOTAL)
            for after, before in key_ranges(session, chosen, descending=True):
                span = {"after": after, "before": before, **text_values(selection, after=after, before=before)}
                count += int(session.value(name, {**values, **span, "limit": limit - count}, selection=chosen))
                if count >= limit:
                    break
            return count

        return await self._database.read(total, owner=owner)

    async def models(self, owner: str, *, limit: int) -> Sequence[str]:
        rows = await self._database.read(lambda s: s.rows("models", {"owner": owner, "limit": limit}), owner=owner)
        return [model for (model,) in rows]

    async def has_import(self, owner: str, import_id: str) -> bool:
        values = {"owner": owner, "import_id": None if import_id == LAST_IMPORT else import_id}
        return bool(await self._database.read(lambda session: session.value("has_import", values), owner=owner))


def _needs_index(selection: Selection) -> bool:
    """Return whether to use the index. Conversations of a job, or with some ids, are found without it."""
    conditions = (selection.persona, selection.persona_contains, selection.created_before, selection.created_after)
    is_about_columns = any(condition is not None for condition in conditions)
    return selection.has_traits or (is_about_columns and not selection.ids and selection.job_id is None)


def _keys_by_age(
    session: Session, name: str, values: Values, selection: Selection, *, sort: Sort, after: int
) -> list[int]:
    keys: list[int] = []
    start, end = (-1, min(after, MAX_KEY)) if sort.is_descending else (after, MAX_KEY)
    for low, high in key_ranges(session, selection, after=start, before=end, descending=sort.is_descending):
        span = {"after": low, "before": high, **text_values(selection, after=low, before=high)}
        found = session.rows(name, {**values, **span, "limit": values["limit"] - len(keys)}, selection=selection)
        keys += [key for (key,) in found]
        if len(keys) >= values["limit"]:
            break
    return keys


def _summaries(session: Session, owner: str, keys: Sequence[int]) -> list[ConversationSummary]:
    values = {"owner": owner, "keys": orjson.dumps(keys).decode()}
    traits = {key: row for key, *row in session.rows("entries_by_key", values)}
    if unindexed := [key for key in keys if key not in traits]:
        derived = session.rows("derived_by_key", {"owner": owner, "keys": orjson.dumps(unindexed).decode()})
        traits |= {key: row for key, *row in derived}
    stored = {key: row for key, *row in session.rows("conversation_summaries", values)}
    reviews = find_reviews(session, owner, keys)
    summaries = []
    for key in keys:
        turns, characters, model, has_tools = traits[key]
        conversation_id, topic, persona, job_id, item_id, created_at, text = stored[key]
        summaries.append(
            ConversationSummary(
                id=conversation_id,
                topic=topic,
                opening=format_opening(text),
                persona=persona,
                job_id=job_id,
                item_id=item_id,
                turns=turns,
                characters=characters,
                model=model,
                has_tools=bool(has_tools),
                created_at=created_at,
                cursor=key,
                review=reviews.get(key),
            )
        )
    return summaries
