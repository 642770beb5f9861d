"""A selection as SQL."""

from typing import Any

import apsw
import orjson

from holdfast.clock import to_text
from holdfast.library.selection import Selection, has
from holdfast.storage.sqlite.queries import Value, query

_ONLY_JOB = "AND job_id = :job_id"
_ONLY_IDS = "AND id IN (SELECT value FROM json_each(:ids))"
_ONLY_PERSONA = "AND persona = :persona"
_ONLY_BEFORE = "AND created_at < :created_before"
# SQLite's own LIKE knows upper and lower case of A to Z only.
_ONLY_FOUND = """AND (holdfast_has(topic, :search) OR holdfast_has(persona, :search)
        OR EXISTS (SELECT 1 FROM turns
                    WHERE turns.conversation_key = conversations.key AND holdfast_has(turns.content, :search)))"""


def selecting(connection: apsw.Connection, name: str, selection: Selection) -> str:
    """Return the statement of that name with the selection's conditions in it, fit for this connection."""
    conditions = [
        condition
        for condition, is_given in (
            (_ONLY_JOB, selection.job_id is not None),
            (_ONLY_IDS, bool(selection.ids)),
            (_ONLY_PERSONA, selection.persona is not None),
            (_ONLY_BEFORE, selection.created_before is not None),
            (_ONLY_FOUND, selection.search is not None),
        )
        if is_given
    ]
    if selection.search is not None:
        connection.create_scalar_function("holdfast_has", _has, 2, deterministic=True)
    return query(name).replace("{selected}", "\n   ".join(conditions))


def values_of(owner: str, selection: Selection) -> dict[str, Value]:
    """Return what the conditions are to be filled with."""
    before = selection.created_before
    return {
        "owner": owner,
        "job_id": selection.job_id,
        "ids": orjson.dumps(selection.ids).decode() if selection.ids else None,
        "persona": selection.persona,
        "created_before": to_text(before) if before is not None else None,
        "search": selection.search.casefold() if selection.search is not None else None,
    }


def _has(*given: Any) -> bool:
    return has(*given)
