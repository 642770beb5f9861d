"""Rules for the original's values. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from backstay.errors import InputUnreadable, InvalidRow
from backstay.legacy.store import LegacyElement
from backstay.library.id_text import check_id
from backstay.limits import MAX_REASON

NO_REASON = "the original recorded no reason"

_IDS = ("string", "number")
_WHOLE = re.compile(r"-?[0-9]+")
_HUNDRED = 100.0
# The original rounds: with fewer items than this, a job with items left never has a hundred percent.
_TOLD_BY_ROUNDING = 199
_EXAMPLES = 3
_NEVER, _LONG_AGO = "infinity", "-infinity"
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")


def identifier(element: LegacyElement, what: str) -> str:
    """Return the id of an element; `what` says which one that is. Raises InputUnreadable if it has no valid id."""
    if element.kind not in _IDS or element.id is None:
        found = {None: "an object without an id", "null": "null", "array": "an array", "boolean": "true or false"}
        raise InputUnreadable(f"{what} is {found.get(element.kind, 'an object')}, and not the id of anything")
    if element.kind == "number" and not _WHOLE.fullmatch(element.id):
        raise InputUnreadable(f"{what} is a number that is not whole, and not the id of anything")
    try:
        check_id(element.id, f"the id at {what}")
    except InvalidRow as error:
        raise InputUnreadable(error.message) from error
    return element.id


def settled(elements: Iterable[LegacyElement], first: int, *, has_failed: bool) -> list[tuple[str, str | None]]:
    """Return the items of a part of an array, which begins with element `first`, each with why it failed, if it did.

    Raises InputUnreadable.
    """
    column = "failed_items" if has_failed else "completed_items"
    return [
        (identifier(element, f"{column}[{number}]"), _error(element) if has_failed else None)
        for number, element in enumerate(elements, start=first)
    ]


def _error(element: LegacyElement) -> str:
    text = (element.error or "").replace("\0", "").strip()
    return text or NO_REASON


def is_finished(progress: Sequence[str | None], items: int) -> bool:
    """Return whether a checkpoint that the original has not deleted belongs to a finished job."""
    return items < _TOLD_BY_ROUNDING and any(_is_hundred(text) for text in progress)


def _is_hundred(text: str | None) -> bool:
    try:
        return text is not None and float(text) >= _HUNDRED
    except ValueError:
        return False


def moment(text: str) -> datetime:
    """Parse a time of the original's columns and files; without an offset it is UTC.

    Raises InputUnreadable: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InputUnreadable("is not a time") from error


def since(created_at: str | None, backup_id: str) -> datetime:
    """Return the creation time of a backup from its record, else from its id, which starts with Unix milliseconds.

    Raises InputUnreadable: the record says something else than a time.
    """
    if created_at is not None:
        try:
            return moment(created_at)
        except InputUnreadable as error:
            raise InputUnreadable("its created_at is not a time") from error
    try:
        return datetime.fromtimestamp(int(backup_id.split("-")[1]) / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputUnreadable("neither its created_at nor its id says when it was made") from error


def expiry(text: str | None) -> datetime | None:
    """Return the expiry of a backup; None if it never expires. Raises InputUnreadable."""
    if text is None or text == _NEVER:
        return None
    if text == _LONG_AGO:
        return datetime.min.replace(tzinfo=UTC)
    try:
        return moment(text)
    except InputUnreadable as error:
        raise InputUnreadable("its expires_at is not a time") from error


def with_offset(text: object) -> object:
    """Return a time as text with an offset, UTC if it has none."""
    return f"{text}Z" if isinstance(text, str) and _NAIVE.fullmatch(text) else text


def reason(text: str | None) -> str:
    """Return the reason of a backup in the form that Backstay accepts."""
    shown = "".join(character if character.isprintable() else " " for character in text or "").strip()
    return shown[:MAX_REASON] or "taken_over"


def difference(recorded: set[str], held: set[str]) -> str | None:
    """Describe how a file's conversation ids differ from the recorded ones; None if they are equal."""
    if missing := recorded - held:
        return f"its file lacks conversations of its conversation_ids: {_named(missing)}"
    if others := held - recorded:
        return f"its file holds conversations that are not among its conversation_ids: {_named(others)}"
    return None


def _named(ids: set[str]) -> str:
    more = f" and {len(ids) - _EXAMPLES:,} more" if len(ids) > _EXAMPLES else ""
    return ", ".join(sorted(ids)[:_EXAMPLES]) + more
