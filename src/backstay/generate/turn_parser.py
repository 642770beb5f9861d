"""Parses and recognizes turns in the JSON shapes that models use. Pure."""

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from backstay.generate.json_extraction import DuplicateKeys, parse_whole
from backstay.generate.prompt import role_of, turn_keys
from backstay.library.turn import Turn

_MAX_WRAPPERS = 4
# Names in lower case, without separators.
_WRAPPERS = {
    *("turns", "conversation", "conversations", "messages", "dialogue", "dialog"),
    *("properties", "jsontoolcall", "arguments", "parameters", "parameter", "input"),  # of a schema or a tool call
}
_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant", "gpt": "assistant"}
_ROLE_NAMES = ("role", "from", "speaker")
_TEXT_NAMES = ("content", "value", "text")
_SEPARATORS = re.compile(r"[\s_-]+")
_ANY_ROLE = "|".join(_ROLES)
_TURN_KEY = re.compile(rf"({_ANY_ROLE})(\d*)")
_NAMES = {*_ROLES, *_ROLE_NAMES, *_TEXT_NAMES, *_WRAPPERS}
_START = re.compile(r"""[{\[][\s{\[]*(?:(?P<quote>["'])(?P<key>[^"'\n]{0,40})(?P<closing>(?P=quote))?)?""")
_NUMBERED_ROLE = re.compile(rf"""["'](?:{_ANY_ROLE})[ _-]?\d+["']\s*:""", re.IGNORECASE)  # a key in JSON text
# The beginning of a key such as `turn3` or `user2text`, but not of `message1.5`.
_LIKE_A_TURN = re.compile(rf"(?:{_ANY_ROLE}|turn|message)\d+(?![\d.])")


class InvalidTurns(Exception):
    """A value without the requested turns. The message says what is wrong, without quoting it."""


def read_turns(value: Any, turns: int, *, was_repaired: bool = False) -> list[Turn]:
    """Return the turns of a value in any of the shapes that models use.

    Args:
        value: Parsed JSON.
        turns: The requested number of turns.
        was_repaired: Whether the JSON had to be repaired. An unknown key then shows that its text was cut wrongly.

    Raises:
        InvalidTurns: the value has no turns, or other turns than requested.
    """
    parsed = _parse_value(value, turn_keys(turns), _MAX_WRAPPERS)
    if was_repaired and not _has_only_known_keys(value, {_normalize(key) for key in turn_keys(turns)}):
        raise InvalidTurns("its punctuation is broken")
    return parsed


def is_one_turn(value: Any) -> bool:
    """Return whether a value is a single turn, as in output with one object per line."""
    if not isinstance(value, dict):
        return False
    return _role_as_key(value) is not None or any(_normalize(name) in _ROLE_NAMES for name in value)


def continues_turns(value: Any, turns: int) -> bool:
    """Return whether a value that follows a conversation of `turns` turns seems to contain more."""
    if is_one_turn(value):
        return True
    known = {_normalize(key) for key in turn_keys(turns)}
    return isinstance(value, dict) and any(map(_is_like_a_turn, value)) and known.isdisjoint(map(_normalize, value))


def begins_turns(text: str, start: int) -> bool:
    """Return whether the possibly truncated object or list at `start` seems to contain turns."""
    begin = _START.match(text, start)
    if begin is None:
        return False
    key = _normalize(begin["key"] or "")
    if begin["closing"]:
        is_name = key in _NAMES or _TURN_KEY.fullmatch(key) is not None
        return is_name or _NUMBERED_ROLE.search(text, start, start + 400) is not None
    # The text may end within the key; then any name that begins like it will do.
    start_of_name = key.rstrip("0123456789")
    return not text[begin.end() :].strip("` \t\r\n") and any(name.startswith(start_of_name) for name in _NAMES)


def _parse_value(value: Any, keys: Sequence[str], wrappers: int) -> list[Turn]:
    _refuse_repeated_keys(value, "it")
    if isinstance(value, dict):
        if all(map(value.__contains__, keys)) or (value := _restore_keys(value, keys)).keys() & set(keys):
            return _turns_from_keys(value, keys)
        if len(value) > 1 and all(_normalize(key) in _ROLES for key in value):
            value = [{key: text} for key, text in value.items()]
    if wrappers and (inner := _unwrap(value)) is not None:
        return _parse_value(inner, keys, wrappers - 1)
    if not isinstance(value, list):
        raise InvalidTurns("it is JSON without turns")
    return _check_alternating([_turn_from_entry(entry, number) for number, entry in enumerate(value)], len(keys))


def _unwrap(value: Any) -> Any:
    """Return the value inside a wrapper; None if the value is not a wrapper."""
    if isinstance(value, str):
        return next(parse_whole(value), None) if value.lstrip()[:1] in ("{", "[") else None
    if isinstance(value, list):
        if len(value) != 1 or is_one_turn(value[0]):
            return None
        return _unwrap(value[0]) if isinstance(value[0], str) else value[0]
    if not isinstance(value, dict) or is_one_turn(value):
        return None
    inner = [each for each in _values_under(value, _WRAPPERS) if isinstance(each, Mapping | list | str)]
    inner = inner or (list(value.values()) if len(value) == 1 else [])
    return inner[0] if len(inner) == 1 else None


def _restore_keys(value: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any]:
    """Return a mapping with variants of the requested keys replaced by the keys themselves."""
    by_normalized_key = {_normalize(key): key for key in keys}
    renamed: dict[str, Any] = {}
    for key, text in value.items():
        name = by_normalized_key.get(_normalize(key), key)
        if name in renamed:
            raise InvalidTurns("it has two keys for one turn")
        renamed[name] = text
    return renamed


def _turns_from_keys(value: Mapping[str, Any], keys: Sequence[str]) -> list[Turn]:
    try:
        turns = [Turn(role_of(number), _turn_text(value[key], key)) for number, key in enumerate(keys)]
    except KeyError as error:
        raise InvalidTurns(f"{error.args[0]} is missing") from None
    if more := [key for key in value.keys() - set(keys) if _is_like_a_turn(key)]:
        if all(_TURN_KEY.fullmatch(_normalize(key)) for key in more):
            raise _wrong_count(len(keys) + len(more), len(keys))
        raise InvalidTurns("it has more keys that look like turns")
    return turns


def _check_alternating(entries: list[Turn], turns: int) -> list[Turn]:
    for number, turn in enumerate(entries):
        if turn.role != role_of(number):
            raise InvalidTurns(f"turn {number + 1} is the {turn.role}'s, but must be the {role_of(number)}'s")
    if len(entries) != turns:
        raise _wrong_count(len(entries), turns)
    return entries


def _wrong_count(count: int, turns: int) -> InvalidTurns:
    return InvalidTurns(f"it has {count} turns, and {turns} were asked for")


def _turn_text(value: Any, name: str) -> str:
    """Return the text of a turn, which may be the only text in an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    _refuse_repeated_keys(value, name)
    if isinstance(value, dict) and {_normalize(key) for key in value} <= {*_TEXT_NAMES, "type", "role"}:
        texts = _values_under(value, _TEXT_NAMES)
        value = texts[0] if len(texts) == 1 else None
    if not isinstance(value, str):
        raise InvalidTurns(f"{name} is not text")
    return value


def _turn_from_entry(entry: Any, number: int) -> Turn:
    if not isinstance(entry, dict):
        raise InvalidTurns(f"turn {number + 1} is not an object with a role and content")
    _refuse_repeated_keys(entry, f"turn {number + 1}")
    role, content = _role_as_key(entry) or (_single_value(entry, _ROLE_NAMES), _single_value(entry, _TEXT_NAMES))
    if not isinstance(role, str) or content is None:
        raise InvalidTurns(f"turn {number + 1} must have one role and one content")
    match = _TURN_KEY.fullmatch(_normalize(role))
    if match is None:
        raise InvalidTurns(f"turn {number + 1} has a role other than user and assistant")
    if match[2] and int(match[2][:6]) != number // 2 + 1:
        raise InvalidTurns(f"turn {number + 1} has the wrong number")
    return Turn(_ROLES[match[1]], _turn_text(content, f"turn {number + 1}"))


def _role_as_key(entry: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the role and text of an object whose only key is the role; None for others."""
    if len(entry) == 1:
        ((role, content),) = entry.items()
        if _TURN_KEY.fullmatch(_normalize(role)):
            return role, content
    return None


def _single_value(entry: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the value under any of the names; None if there is none, or if values differ."""
    values = [value for value in _values_under(entry, names) if value is not None]
    return values[0] if values and all(value == values[0] for value in values) else None


def _values_under(entry: Mapping[str, Any], names: Container[str]) -> list[Any]:
    return [value for key, value in entry.items() if _normalize(key) in names]


def _is_like_a_turn(key: str) -> bool:
    return _LIKE_A_TURN.match(_normalize(key)) is not None


def _refuse_repeated_keys(value: Any, name: str) -> None:
    if isinstance(value, DuplicateKeys):
        raise InvalidTurns(f"{name} has one key twice")


def _has_only_known_keys(value: Any, keys: set[str]) -> bool:
    """Return whether all keys in a value belong to turns, their fields or wrappers."""
    if isinstance(value, dict):
        known_keys = keys | _NAMES
        return all(_normalize(key) in known_keys and _has_only_known_keys(inner, keys) for key, inner in value.items())
    return not isinstance(value, list) or all(_has_only_known_keys(inner, keys) for inner in value)


def _normalize(key: str) -> str:
    return _SEPARATORS.sub("", key).lower()
