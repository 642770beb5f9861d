"""Translates a selection to SQL conditions and their values.

`{contains:column,value}` in a condition is whether a column contains a value, which depends on the database.
"""

from collections.abc import Iterator
from enum import StrEnum
from types import MappingProxyType

import orjson

from backstay.clock import to_text
from backstay.library.review import ReviewStatus
from backstay.library.selection import Selection
from backstay.storage.sql.database import Value
from backstay.storage.sql.text_search import IndexedSearch

_DIRECT = MappingProxyType(
    {
        "job_id": "job_id = :job_id",
        "persona": "persona = :persona",
        "created_before": "created_at < :created_before",
        "created_after": "created_at >= :created_after",
        "persona_contains": "{contains:persona,persona_contains}",
        "import_id": """key BETWEEN (SELECT min(first_key) FROM {import_ranges} AS ranges)
           AND (SELECT max(last_key) FROM {import_ranges} AS ranges)
   AND EXISTS (SELECT 1 FROM {import_ranges} AS ranges WHERE key BETWEEN first_key AND last_key)""",
    }
)
"""Conditions on the columns that conversations and their index entries both have."""

_OF_ENTRIES = MappingProxyType(
    {
        # The sum keeps the database from using an index of the column, which is bad for all but a few entries.
        "min_turns": "turns + 0 >= :min_turns",
        "max_turns": "turns + 0 <= :max_turns",
        "min_characters": "characters + 0 >= :min_characters",
        "max_characters": "characters + 0 <= :max_characters",
        "model": "model = :model",
        "has_tools": "has_tools = :has_tools",
    }
)
_OF_CONVERSATIONS = MappingProxyType(
    {
        "ids": "id IN ({list:ids})",
        "topic_contains": "{contains:topic,topic_contains}",
        "search": """({contains:topic,search} OR {contains:persona,search}
        OR EXISTS (SELECT 1 FROM {schema}.turns
                    WHERE turns.conversation_key = conversations.key AND {contains:turns.content,search}))""",
    }
)

_REVIEWED = """EXISTS (SELECT 1 FROM {schema}.{table} AS found
                WHERE found.conversation_key = {rows}.key AND {condition}{of_owner})"""
_REVIEWED_IN_RANGE = """key IN (SELECT conversation_key FROM {schema}.{table} AS found
                WHERE owner = :owner AND conversation_key > :after AND conversation_key < :before AND {condition})"""
_NOT_REVIEWED = """NOT EXISTS (SELECT 1 FROM {schema}.{table} AS found
                    WHERE found.conversation_key = {rows}.key AND {condition}{of_owner})"""
_REVIEWS, _TAGS, _VERSIONS = "conversation_reviews", "conversation_tags", "conversation_versions"


class Relation(StrEnum):
    """What a statement selects from."""

    CONVERSATIONS = "conversations"
    ENTRIES = "entries"


def conditions(selection: Selection | None, *, on: Relation = Relation.CONVERSATIONS, in_range: bool = False) -> str:
    """Return the conditions of a selection of conversations or of index entries.

    With `in_range`, the statement is limited to the keys between `:after` and `:before`.
    """
    if selection is None:
        return ""
    own, others = _OF_CONVERSATIONS, _OF_ENTRIES
    template = "key IN (SELECT key FROM {{entries}} AND {})"
    if selection.ids:  # SQLite would look up each of these ids with each of those keys
        template = "EXISTS (SELECT 1 FROM {{entries}} AND entries.key = conversations.key AND {})"
    if on is Relation.ENTRIES:
        own, others = _OF_ENTRIES, _OF_CONVERSATIONS
        template = """EXISTS (SELECT 1 FROM {{schema}}.conversations
                 WHERE conversations.owner = :owner AND conversations.key = entries.key AND {})"""
    curation = (text.replace("{rows}", on) for text in _curation_conditions(selection, in_range=in_range))
    texts = [text for name, text in _DIRECT.items() if _is_set(selection, name)]
    if isinstance(selection, IndexedSearch):
        texts.append("{among_candidates}")
    texts += [*curation, *(text for name, text in own.items() if _is_set(selection, name))]
    if joined := [text for name, text in others.items() if _is_set(selection, name)]:
        texts.append(template.format(" AND ".join(joined)))
    return "".join(f"AND {text}\n   " for text in texts).rstrip()


def fill_selection(text: str, selection: Selection | None) -> str:
    """Replace the placeholders of a statement that stand for the conditions of a selection."""
    for placeholder, relation in (("selected", Relation.CONVERSATIONS), ("matching", Relation.ENTRIES)):
        for suffix, in_range in (("", False), ("_in_range", True)):
            if (name := f"{{{placeholder}{suffix}}}") in text:
                text = text.replace(name, conditions(selection, on=relation, in_range=in_range))
    # An index in the order of a list is the best way to all conversations, and the worst to a few of them.
    return text.replace("{scan}", " + 0" if selection is not None and selection.is_narrowed else "")


def _is_set(selection: Selection, name: str) -> bool:
    return getattr(selection, name) not in (None, ())


def _curation_conditions(selection: Selection, *, in_range: bool) -> Iterator[str]:
    reviewed = _REVIEWED_IN_RANGE if in_range else _REVIEWED
    if selection.status is ReviewStatus.UNREVIEWED:
        yield _fill(_NOT_REVIEWED, _REVIEWS, "found.status IS NOT NULL")
    elif selection.status is not None:
        yield _fill(reviewed, _REVIEWS, "found.status = :status")
    if selection.rating_below is not None:
        yield _fill(reviewed, _REVIEWS, "found.rating < :rating_below")
    if selection.rating_from is not None:
        yield _fill(reviewed, _REVIEWS, "found.rating >= :rating_from")
    if selection.unrated:
        yield _fill(_NOT_REVIEWED, _REVIEWS, "found.rating IS NOT NULL")
    if selection.reviewed_by is not None:
        yield _fill(reviewed, _REVIEWS, "found.reviewer = :reviewed_by")
    if selection.note_contains is not None:
        yield _fill(reviewed, _REVIEWS, "{contains:found.note,note_contains}")
    for number, _ in enumerate(selection.tags):
        yield _fill(reviewed, _TAGS, f"found.tag = :tag_{number}")
    if selection.untagged:
        yield _fill(_NOT_REVIEWED, _TAGS, "TRUE")
    if selection.edited:
        yield _fill(reviewed, _VERSIONS, "found.number = 1")


def _fill(text: str, table: str, condition: str) -> str:
    return text.replace("{table}", table).replace("{condition}", condition)


def selection_values(owner: str, selection: Selection) -> dict[str, Value]:
    """Return the values for the parameters of the conditions."""
    before, after = selection.created_before, selection.created_after
    values: dict[str, Value] = {
        "owner": owner,
        "job_id": selection.job_id,
        "ids": orjson.dumps(selection.ids).decode() if selection.ids else None,
        "persona": selection.persona,
        "created_before": to_text(before) if before is not None else None,
        "created_after": to_text(after) if after is not None else None,
        "import_id": selection.import_id,
        "min_turns": selection.min_turns,
        "max_turns": selection.max_turns,
        "min_characters": selection.min_characters,
        "max_characters": selection.max_characters,
        "model": selection.model,
        "has_tools": selection.has_tools,
        "status": selection.status,
        "rating_below": selection.rating_below,
        "rating_from": selection.rating_from,
        "reviewed_by": selection.reviewed_by,
        **{f"tag_{number}": tag for number, tag in enumerate(selection.tags)},
    }
    for name in ("search", "topic_contains", "persona_contains", "note_contains"):
        text = getattr(selection, name)
        values |= {name: text.casefold() if text is not None else None, f"{name}_text": text}
    return values
