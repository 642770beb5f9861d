"""Translates a selection to SQL conditions and their values."""

from collections.abc import Iterator

import orjson

from backstay.clock import to_text
from backstay.library.review import ReviewStatus
from backstay.library.selection import Selection
from backstay.storage.sql.database import Value

_ONLY_JOB = "AND job_id = :job_id"
_ONLY_PERSONA = "AND persona = :persona"
_ONLY_BEFORE = "AND created_at < :created_before"
_REVIEWED = """AND EXISTS (SELECT 1 FROM {schema}.{table} AS found
                WHERE found.conversation_key = conversations.key AND {condition}{of_owner})"""
_REVIEWED_IN_RANGE = """AND key IN (SELECT conversation_key FROM {schema}.{table} AS found
                WHERE owner = :owner AND conversation_key > :after AND conversation_key < :before AND {condition})"""
_NOT_REVIEWED = """AND NOT EXISTS (SELECT 1 FROM {schema}.{table} AS found
                    WHERE found.conversation_key = conversations.key AND {condition}{of_owner})"""
_REVIEWS, _TAGS, _VERSIONS = "conversation_reviews", "conversation_tags", "conversation_versions"


def insert_conditions(
    text: str, selection: Selection | None, *, only_ids: str, only_containing: str, of_owner: str
) -> str:
    """Return a statement with the conditions of a selection instead of `{selected}` or `{selected_in_range}`.

    `only_ids`, `only_containing` and, of a review, `of_owner` are the conditions that depend on the database.
    """
    for placeholder, in_range in (("{selected}", False), ("{selected_in_range}", True)):
        if placeholder in text:
            text = text.replace(placeholder, _conditions(selection, only_ids, only_containing, in_range=in_range))
    return text.replace("{of_owner}", of_owner)


def _conditions(selection: Selection | None, only_ids: str, only_containing: str, *, in_range: bool) -> str:
    if selection is None:
        return ""
    return "\n   ".join(
        condition
        for condition, is_used in (
            (_ONLY_JOB, selection.job_id is not None),
            (only_ids, bool(selection.ids)),
            (_ONLY_PERSONA, selection.persona is not None),
            (_ONLY_BEFORE, selection.created_before is not None),
            *((condition, True) for condition in _curation_conditions(selection, in_range=in_range)),
            (only_containing, selection.search is not None),
        )
        if is_used
    )


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
    before = selection.created_before
    return {
        "owner": owner,
        "job_id": selection.job_id,
        "ids": orjson.dumps(selection.ids).decode() if selection.ids else None,
        "persona": selection.persona,
        "created_before": to_text(before) if before is not None else None,
        "search": selection.search.casefold() if selection.search is not None else None,
        "search_text": selection.search,
        "status": selection.status,
        "rating_below": selection.rating_below,
        "rating_from": selection.rating_from,
        **{f"tag_{number}": tag for number, tag in enumerate(selection.tags)},
    }
