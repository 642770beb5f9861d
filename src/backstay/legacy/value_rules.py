"""Rules for the original library's values. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from backstay.errors import InputUnreadable, InvalidRow
from backstay.legacy.store import LegacyElement
from backstay.library.id_text import check_id
from backstay.limits import MAX_REASON

NO_REASON = "the original library recorded no reason"

_IDS = ("string", "number")
_WHOLE = re.compile(r"-?[0-9]+")
# The original library rounds percentages: from this many items on, a job with items left may show a hundred.
_ROUNDING_AMBIGUOUS_ITEMS = 199
_MAX_EXAMPLES = 3
_NEVER, _LONG_AGO = "infinity", "-infinity"
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")


def identifier(element: LegacyElement, location: str) -> str:
    """Return the id of an element; the element is at `location`. Raises InputUnreadable if it has no valid id."""
    if element.kind not in _IDS or element.id is None:
        kinds = {None: "an object without an id", "null": "null", "array": "an array", "boolean": "true or false"}
        raise InputUnreadable(f"{location} is {kinds.get(element.kind, 'an object')}, not an id")
    if element.kind == "number" and not _WHOLE.fullmatch(element.id):
        raise InputUnreadable(f"{location} is a number that is not whole, not an id")
    try:
        check_id(element.id, f"the id at {location}")
    except InvalidRow as error:
        raise InputUnreadable(error.message) from error
    return element.id


def settled_items(elements: Iterable[LegacyElement], first: int, *, has_failed: bool) -> list[tuple[str, str | None]]:
    """Return the id of each element and, if the items have failed, the reason.

    `first` is the index of the first element in its column, for messages. Raises InputUnreadable.
    """
    column = "failed_items" if has_failed else "completed_items"
    return [
        (identifier(element, f"{column}[{number}]"), _failure_reason(element) if has_failed else None)
        for number, element in enumerate(elements, start=first)
    ]


def _failure_reason(element: LegacyElement) -> str:
    text = (element.error or "").replace("\0", "").strip()
    return text or NO_REASON


def is_finished(progress: Sequence[str | None], settled_count: int) -> bool:
    """Return whether a job whose checkpoint still exists is finished; False if rounding makes that uncertain."""
    return settled_count < _ROUNDING_AMBIGUOUS_ITEMS and any(_is_hundred(text) for text in progress)


def _is_hundred(text: str | None) -> bool:
    try:
        return text is not None and float(text) >= 100
    except ValueError:
        return False


def parse_time(text: str, subject: str) -> datetime:
    """Parse a time of the original library's columns and files; without an offset it is UTC.

    Raises InputUnreadable, with the subject, if it is not a time.
    """
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InputUnreadable(f"{subject} is not a time") from error


def creation_time(created_at: str | None, backup_id: str) -> datetime:
    """Return the creation time of a backup from its record, else from its id, `backup-<Unix milliseconds>-…`.

    Raises InputUnreadable if the record holds something else.
    """
    if created_at is not None:
        return parse_time(created_at, "its created_at")
    try:
        return datetime.fromtimestamp(int(backup_id.split("-")[1]) / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputUnreadable("neither its created_at nor its id says when it was made") from error


def expiry_time(text: str | None) -> datetime | None:
    """Return the expiry of a backup; None if it never expires. Raises InputUnreadable."""
    if text is None or text == _NEVER:
        return None
    if text == _LONG_AGO:
        return datetime.min.replace(tzinfo=UTC)
    return parse_time(text, "its expires_at")


def with_offset(text: object) -> object:
    """Return a time as text with an offset, UTC if it has none."""
    return f"{text}Z" if isinstance(text, str) and _NAIVE.fullmatch(text) else text


def reason(text: str | None) -> str:
    """Return the reason of a backup in the form that Backstay accepts."""
    printable = "".join(character if character.isprintable() else " " for character in text or "").strip()
    return printable[:MAX_REASON] or "legacy_backup"


def describe_difference(recorded: set[str], in_file: set[str]) -> str | None:
    """Describe how a file's conversation ids differ from the recorded ones; None if they are equal."""
    if missing := recorded - in_file:
        return f"its file lacks conversations of its conversation_ids: {_list_ids(missing)}"
    if others := in_file - recorded:
        return f"its file holds conversations that are not among its conversation_ids: {_list_ids(others)}"
    return None


def _list_ids(ids: set[str]) -> str:
    more = f" and {len(ids) - _MAX_EXAMPLES:,} more" if len(ids) > _MAX_EXAMPLES else ""
    return ", ".join(sorted(ids)[:_MAX_EXAMPLES]) + more
