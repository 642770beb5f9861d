"""Repair of JSON with wrong punctuation: trailing commas, single quotes, bare quotes. Pure, with bounded work.

`json-repair` does the repair, but would also complete truncated values and drop text that it cannot parse. So it
gets only values that have an end, and its result counts only if no letter was lost or added. A value with Python's
`True` or `None`, or with a number such as `1e5`, is rejected, because its letters change. Turns are texts, so few are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from backstay.generate.json_extraction import is_in_broken_value

_MAX_CHARACTERS = 60_000
_MAX_SLOW_CHARACTERS = 400  # quotes and opening parentheses: the time of a repair grows with the square of their number
_MAX_REPAIRS = 3
_MAX_STARTS = 50  # of values in one text

_BRACKET = re.compile(r"[{\[]")
_ANY_BRACKET = re.compile(r"[{}\[\]]")
_QUOTE_OR_BRACKET = re.compile(r"""["'{}\[\]]""")
# A quote ends a text only if punctuation follows, because models leave quotes inside a text unescaped.
_ESCAPE_OR_END = {quote: re.compile(rf"""\\.|{quote}(?=\s*[,:}}\]])""", re.DOTALL) for quote in "\"'"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def repair_values(text: str) -> Iterator[Any]:
    """Yield the repaired objects and lists of a text, the last first."""
    if len(text) > _MAX_CHARACTERS:
        return
    for start, end in reversed(_whole_spans(text)[-_MAX_REPAIRS:]):
        source = text[start:end]
        if sum(map(source.count, "\"'(")) <= _MAX_SLOW_CHARACTERS:
            yield from _repair(source)


def is_open(text: str, start: int) -> bool:
    """Return whether the object or list that begins at `start` has no end, or is too long to repair."""
    return _end_of(text[start : start + _MAX_CHARACTERS], 0) is None


def _repair(source: str) -> Iterator[Any]:
    from json_repair import repair_json  # most runs do not need it

    try:
        value: Any = _join_surrogates(repair_json(source, return_objects=True, skip_json_loads=True))
        is_lossless = _letters("".join(_walk_texts(value))) == _letters(_unescape(source))
    except (ValueError, RecursionError):
        return
    if is_lossless:
        yield value


def _whole_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of the outermost objects and lists that are complete."""
    spans = []
    at = starts = 0
    while starts < _MAX_STARTS and (bracket := _BRACKET.search(text, at)):
        starts += 1
        start = bracket.start()
        end = _end_of(text, start)
        at = bracket.end() if end is None else end
        if end is not None and not is_in_broken_value(text, start) and not _has_unmatched_closing(text, end):
            spans.append((start, end))
    return spans


def _has_unmatched_closing(text: str, end: int) -> bool:
    """Return whether a closing bracket after `end` has no opening one.

    If so, the bracket before `end` belongs to a text without quotes, and the value ends later.
    """
    depth = 0
    for bracket in _ANY_BRACKET.finditer(text, end):
        depth += 1 if bracket.group() in "{[" else -1
        if depth < 0:
            return True
    return False


def _end_of(text: str, start: int) -> int | None:
    """Return the end of the value that begins at `start`; None if a text or a bracket stays open."""
    closing: list[str] = []
    at = start
    while mark := _QUOTE_OR_BRACKET.search(text, at):
        at, character = mark.end(), mark.group()
        if character in "{[":
            closing.append("}" if character == "{" else "]")
        elif character in "}]":
            if closing.pop() != character:
                return None
            if not closing:
                return at
        else:
            marks = _ESCAPE_OR_END[character].finditer(text, at)
            text_end = next((match.start() for match in marks if match.group() == character), None)
            if text_end is None or _seems_truncated(text[at:text_end], character):
                return None
            at = text_end + 1
    return None


def _seems_truncated(inside: str, quote: str) -> bool:
    """Return whether a text holds its quote and unbalanced brackets, as in `Send {"a": "b"`: its end is missing."""
    return quote in inside and any(inside.count(pair[0]) != inside.count(pair[1]) for pair in ("{}", "[]"))


def _join_surrogates(value: Any) -> Any:
    """Join surrogate pairs that were escaped separately."""
    if isinstance(value, Mapping):
        return {_join_surrogates(key): _join_surrogates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_join_surrogates(inner) for inner in value]
    if isinstance(value, str):
        return _SURROGATE_PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), value)
    return value


def _walk_texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _walk_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk_texts(inner)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def _unescape(source: str) -> str:
    def character(match: re.Match[str]) -> str:
        code, simple = match.groups()
        if code:
            return chr(int(code, 16))
        return "" if simple in "bfnrt" else simple  # the control characters are no letters

    text: str = _join_surrogates(_ESCAPE.sub(character, source))
    return text


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
