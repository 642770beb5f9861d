"""Translates a selection to SQL conditions and their values."""

import orjson

from backstay.clock import to_text
from backstay.library.selection import Selection
from backstay.storage.sql.database import Value

_ONLY_JOB = "AND job_id = :job_id"
_ONLY_PERSONA = "AND persona = :persona"
_ONLY_BEFORE = "AND created_at < :created_before"


def conditions(selection: Selection | None, *, only_ids: str, only_containing: str) -> str:
    """Return the conditions of a selection. `only_ids` and `only_containing` are those that depend on the database."""
    if selection is None:
        return ""
    return "\n   ".join(
        condition
        for condition, is_used in (
            (_ONLY_JOB, selection.job_id is not None),
            (only_ids, bool(selection.ids)),
            (_ONLY_PERSONA, selection.persona is not None),
            (_ONLY_BEFORE, selection.created_before is not None),
            (only_containing, selection.search is not None),
        )
        if is_used
    )


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
    }
