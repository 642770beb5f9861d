"""Extraction of JSON values and of the model's reasoning from the text of an answer. Pure, with bounded work."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.library.thought import TAG

_MAX_FAILURES = 1_000  # of attempts to parse a value
_MAX_TAGS = 1_000
_MAX_CHARACTERS = 32_000_000  # parsed in failed attempts; twice the largest body
_VALUE_CHARACTERS = 1_000  # charged per value, because thousands of values are not an answer

_BRACKET = re.compile(r"[{\[]")
_MARK = re.compile(rf"{TAG.pattern}|{_BRACKET.pattern}", re.IGNORECASE)


class DuplicateKeys(dict[str, Any]):
    """An object with a duplicate key, one value of which is lost."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else DuplicateKeys(value)


# Local models write raw line breaks into their texts; their meaning is unambiguous.
_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_object)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A JSON value and its position in the text."""

    start: int
    end: int
    data: Any


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The parts of a text: values from the left, the model's reasoning, and the text without it."""

    values: list[JsonValue]
    reasoning: str | None
    rest: str
    broken: Sequence[int] = ()
    """Positions where invalid or incomplete JSON begins."""


def find_values(text: str) -> ParsedText:
    """Return the outermost JSON objects and lists outside the model's reasoning.

    Tags inside a value are part of its texts. Text before a closing tag that was never opened is reasoning. After an
    opening tag that is never closed, only a value at the very end is an answer.
    """
    reader = _Reader(text)
    values: list[JsonValue] = []
    thoughts: list[str] = []
    pieces: list[str] = []
    broken: list[int] = []
    at = piece_start = thought_end = tags = 0
    while mark := (TAG if reader.is_exhausted else _MARK).search(text, at):
        at = mark.end()
        if mark.group() in "{[":
            if value := reader.read(mark.start()):
                at = value.end
                if not is_in_broken_value(text, value.start):
                    values.append(value)
            else:
                broken.append(mark.start())
            continue
        if (tags := tags + 1) > _MAX_TAGS:
            return ParsedText([], None, "")
        pieces.append(text[piece_start : mark.start()])
        if mark["closing"]:
            values.clear()
            broken.clear()
            thoughts, pieces, thought_end = [], [], mark.start()
            reader = _Reader(text, reader.characters_left)
        elif close := next((tag for tag in TAG.finditer(text, at) if tag["closing"]), None):
            thoughts.append(text[at : close.start()])
            at = close.end()
        else:
            # An answer in channels has a channel of its own.
            last = None if "channel" in mark.group() else _value_at_end(reader, at)
            thoughts.append(text[at : last.start if last else len(text)])
            values.extend([last] if last else [])
            at = len(text)
        piece_start = at
    pieces.append(text[piece_start:])
    before = [TAG.sub("", text[:thought_end])] if thought_end else []
    reasoning = "\n\n".join(stripped for thought in (*before, *thoughts) if (stripped := thought.strip()))
    return ParsedText(values, reasoning or None, "".join(pieces), broken)


def is_in_broken_value(text: str, start: int) -> bool:
    """Return whether the value at `start` is part of a larger value that is broken, and may be truncated."""
    before = text[max(0, start - 40) : start].rstrip()
    if before[-1:] in (":", ","):
        return before[:-1].rstrip()[-1:] in (("'", '"') if before[-1] == ":" else ("'", '"', "}", "]"))
    return before[-1:] in ("{", "[")


class _Reader:
    """A reader of values that stops after too many failed attempts."""

    def __init__(self, text: str, characters_left: int = _MAX_CHARACTERS) -> None:
        self.text = text
        self.attempts_left = _MAX_FAILURES
        self.characters_left = characters_left

    @property
    def is_exhausted(self) -> bool:
        return self.attempts_left <= 0 or self.characters_left <= 0

    def read(self, start: int) -> JsonValue | None:
        try:
            data, end = _DECODER.raw_decode(self.text, start)
        except (ValueError, RecursionError) as error:
            self.attempts_left -= 1
            self.characters_left -= _characters_read(error, len(self.text) - start, start)
            return None
        self.characters_left -= _VALUE_CHARACTERS
        return JsonValue(start, end, data)


def _characters_read(error: Exception, rest: int, start: int) -> int:
    if isinstance(error, json.JSONDecodeError) and not error.msg.startswith("Unterminated"):
        return error.pos - start
    return rest if isinstance(error, ValueError) else 10_000


def _value_at_end(reader: _Reader, at: int) -> JsonValue | None:
    """Return the value at the end of a text, ignoring a closing code fence; None if there is none."""
    end = len(reader.text.rstrip("` \t\r\n"))
    while not reader.is_exhausted and (mark := _BRACKET.search(reader.text, at)):
        value = reader.read(mark.start())
        if value is not None and value.end == end:
            return None if is_in_broken_value(reader.text, value.start) else value
        at = value.end if value is not None else mark.end()
    return None


def parse_whole(text: str) -> Iterator[Any]:
    """Yield the value of a text that is nothing but JSON; yield nothing for other texts."""
    try:
        value, end = _DECODER.raw_decode(text.strip())
    except (ValueError, RecursionError):
        return
    if end == len(text.strip()):
        yield value
