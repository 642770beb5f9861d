"""Parsing of a model's answer into a conversation. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from backstay.errors import InvalidConversation
from backstay.generate.json_extraction import JsonValue, ParsedText, find_values, parse_whole
from backstay.generate.json_fix import is_open, repair_values
from backstay.generate.prompt import Prompt, turn_keys
from backstay.generate.prompt_echo import repeats_prompt
from backstay.generate.providers.provider import FinishReason, ModelAnswer
from backstay.generate.turn_parser import InvalidTurns, begins_turns, continues_turns, is_one_turn, read_turns
from backstay.library.conversation import Conversation, validate_turns
from backstay.library.thought import THOUGHT_STARTS, split_thought
from backstay.library.turn import Turn

# Placeholders for a text in an example: dots alone, or a word about the text in brackets.
_PLACEHOLDER = re.compile(
    r"\s*(?:[.…]*…[.…]*|\.{2,}|[<\[{][^<>\[\]{}]{0,80}?"
    r"(?:\.\.\.|…|\b(?:text|turn|message|reply|response|answer|question|content|user|assistant|your|insert|here|string)\b)"
    r"[^<>\[\]{}]{0,80}[>\]}]|(?:the )?text of (?:that|this|the) turn\.?)\s*",
    re.IGNORECASE,
)
_MAX_STARTS = 50
_MIN_TURN_CHARACTERS = len('"user_1":"",')
_PLACEHOLDER_WORDS = frozenset(
    {"text", "string", "content", "message", "turn", "value", "placeholder", "example", "todo", "tbd"}
)


class UnusableAnswer(Exception):
    """An answer without a usable conversation. The message does not quote it."""

    def __init__(self, code: str, message: str, *, may_retry: bool, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.may_retry = may_retry
        """Whether another try may succeed."""
        self.hint = hint
        """The fault in the answer's shape, worded for the model."""


def parse_conversation(
    answer: ModelAnswer, turns: int, prompt: Prompt | None = None, metadata: Mapping[str, Any] | None = None
) -> Conversation:
    """Return the conversation in a complete answer of the requested shape.

    If several values fit, the last one counts; a value that only repeats the prompt does not fit. The metadata gets the
    model's `reasoning`, `repaired` if the JSON was, and `end` if the provider gave no finish reason.

    Raises:
        UnusableAnswer: the answer is incomplete or has another shape. None of it is stored as a conversation.
    """
    _check_end(answer)
    failures: list[UnusableAnswer] = []
    for source in (answer.data, *reversed(answer.earlier), answer.text):
        if source is None or (isinstance(source, str) and not source.strip()):
            continue
        try:
            read = _parse_source(source, turns, prompt)
        except UnusableAnswer as error:
            failures.append(error)
            if error.code != "wrong_shape" and isinstance(source, str) and source.lstrip()[:1] in ("{", "["):
                break  # the text was truncated, so earlier values are its drafts
            continue
        if read.is_repaired and answer.end is FinishReason.NOT_GIVEN:
            raise _incomplete()
        read = _without_thoughts(read)
        return Conversation(read.turns, metadata={**(metadata or {}), **_metadata(answer, read)})
    if not failures:
        raise UnusableAnswer("empty_answer", "the answer is empty", may_retry=True, hint="it was empty")
    if answer.end is FinishReason.NOT_GIVEN and failures[0].code == "unreadable_answer":
        raise _incomplete()
    raise failures[0]


def _check_end(answer: ModelAnswer) -> None:
    match answer.end:
        case FinishReason.LENGTH:
            raise UnusableAnswer("length", "the answer was truncated at its maximum length", may_retry=False)
        case FinishReason.REFUSAL:
            raise UnusableAnswer("refusal", "the model refused to write this conversation", may_retry=False)
        case FinishReason.FILTER:
            raise UnusableAnswer("content_filter", "the provider's content filter stopped the answer", may_retry=False)
        case FinishReason.UNKNOWN:
            raise _incomplete()


def _incomplete() -> UnusableAnswer:
    return UnusableAnswer("incomplete_answer", "the answer does not say that it is complete", may_retry=True)


@dataclass(frozen=True, slots=True)
class _ParsedTurns:
    """Parsed turns, with the reasoning and whether the JSON was repaired."""

    turns: list[Turn]
    thought: str | None = None
    is_repaired: bool = False


def _parse_source(source: Any, turns: int, prompt: Prompt | None) -> _ParsedTurns:
    """Return the last turns in a source that have the requested shape."""
    if not isinstance(source, str):
        try:
            return _ParsedTurns(_check_turns(source, turns, prompt))
        except InvalidTurns as error:
            raise _wrong_shape(error) from error
    if source[0] == "{" and (plain := _parse_plain(source, turns, prompt)) is not None:
        return _ParsedTurns(plain)
    parsed = find_values(source)
    longest_failure: tuple[int, InvalidTurns] | None = None
    for value in _candidates(parsed, source):
        try:
            read = _ParsedTurns(_check_turns(value.data, turns, prompt), parsed.reasoning)
        except InvalidTurns as error:
            # The longest value is most likely the intended answer, so its error is reported.
            if longest_failure is None or value.end - value.start > longest_failure[0]:
                longest_failure = value.end - value.start, error
            continue
        if any(after.start >= value.end and continues_turns(after.data, turns) for after in parsed.values):
            raise _wrong_shape(InvalidTurns("more turns follow it"))
        if _is_truncated_after(value.end, parsed, source):
            raise _incomplete()
        return read
    for data in repair_values(parsed.rest) if not _is_truncated_after(0, parsed, source) else ():
        with suppress(InvalidTurns):
            return _ParsedTurns(
                _check_turns(data, turns, prompt, was_repaired=True), parsed.reasoning, is_repaired=True
            )
    if longest_failure is not None:
        raise _wrong_shape(longest_failure[1])
    missing = "there is no complete JSON object in the answer"
    raise UnusableAnswer("unreadable_answer", missing, may_retry=True, hint="there was no complete JSON object in it")


def _is_truncated_after(end: int, parsed: ParsedText, source: str) -> bool:
    """Return whether truncated turns begin after a position, which makes everything before them a draft."""
    starts = islice((start for start in parsed.broken if start >= end), _MAX_STARTS)
    return any(begins_turns(source, start) and is_open(source, start) for start in starts)


def _without_thoughts(read: _ParsedTurns) -> _ParsedTurns:
    """Return the turns without the reasoning at the start of assistant turns."""
    if THOUGHT_STARTS.isdisjoint([turn.content[0] for turn in read.turns[1::2]]):
        return read
    thoughts, turns = [read.thought], list(read.turns)
    for number in range(1, len(turns), 2):
        thought, text = split_thought(turns[number].content)
        if text != turns[number].content:
            thoughts.append(thought)
            turns[number] = Turn(turns[number].role, text)
    try:
        validate_turns(turns)
    except InvalidConversation as error:
        raise _wrong_shape(InvalidTurns(error.message)) from error
    return _ParsedTurns(turns, "\n\n".join(filter(None, thoughts)) or None, read.is_repaired)


def _parse_plain(source: str, turns: int, prompt: Prompt | None) -> list[Turn] | None:
    """Return the turns of a text that is exactly the requested JSON. This fast path settles most answers."""
    try:
        data = orjson.loads(source)
        if set(map(type, data.values())) != {str} or not _covers_source(data, source):
            return None
        return _check_turns(data, turns, prompt)
    except (orjson.JSONDecodeError, InvalidTurns):
        return None


def _covers_source(data: Mapping[str, str], source: str) -> bool:
    """Return whether an object of texts covers its whole source; it does not if a duplicate key has lost a value."""
    needed = sum(map(len, data)) + sum(map(len, data.values())) + 6 * len(data) + 1  # quotes, colons, commas, braces
    if len(source) - needed < _MIN_TURN_CHARACTERS:
        return True
    quotes = source.count('"') - 4 * len(data)
    return not quotes or quotes == source.count('\\"')


def _wrong_shape(error: InvalidTurns) -> UnusableAnswer:
    message = f"the answer is not the requested conversation: {error}"
    return UnusableAnswer("wrong_shape", message, may_retry=True, hint=str(error))


def _candidates(parsed: ParsedText, source: str) -> Iterator[JsonValue]:
    """Yield the values that may be the conversation, the most likely first."""
    yield from reversed(parsed.values)
    if source.lstrip()[:1] == '"':
        yield from (JsonValue(0, len(source), data) for data in parse_whole(source) if isinstance(data, str))
    if (lines := _lines(parsed, source)) is not None:
        yield lines


def _lines(parsed: ParsedText, source: str) -> JsonValue | None:
    """Return the consecutive values at the end that are one turn each, as one list."""
    run: list[JsonValue] = []
    for value in reversed(parsed.values):
        if not is_one_turn(value.data) or (run and source[value.end : run[-1].start].strip()):
            break
        run.append(value)
    run.reverse()
    return JsonValue(run[0].start, run[-1].end, [value.data for value in run]) if len(run) > 1 else None


def _check_turns(data: Any, turns: int, prompt: Prompt | None, *, was_repaired: bool = False) -> list[Turn]:
    """Return the turns of a value. Raises InvalidTurns."""
    parsed = read_turns(data, turns, was_repaired=was_repaired)
    try:
        validate_turns(parsed)
    except InvalidConversation as error:
        raise InvalidTurns(error.message) from error
    _check_placeholders(parsed, prompt)
    return parsed


def _check_placeholders(turns: Sequence[Turn], prompt: Prompt | None) -> None:
    """Check that the turns are not placeholders and do not repeat the prompt. A single short text may be real."""
    for number, turn in enumerate(turns, start=1):
        if len(turn.content) < 200 and _PLACEHOLDER.fullmatch(turn.content):
            raise InvalidTurns(f"turn {number} is a placeholder")
    if len(turns[0].content) < 20:
        texts = [turn.content.strip().casefold() for turn in turns]
        if all(text in _PLACEHOLDER_WORDS for text in texts) or texts == list(turn_keys(len(texts))):
            raise InvalidTurns("all turns are placeholders")
    if prompt is not None and repeats_prompt(turns, prompt):
        raise InvalidTurns("it repeats the example of the prompt")


def _metadata(answer: ModelAnswer, read: _ParsedTurns) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if reasoning := "\n\n".join(filter(None, (answer.reasoning, read.thought))):
        metadata["reasoning"] = _storable(reasoning)
    if answer.reasoning_signature:
        metadata["reasoning_signature"] = _storable(answer.reasoning_signature)
    if read.is_repaired:
        metadata["repaired"] = True
    if answer.end is FinishReason.NOT_GIVEN:
        metadata["end"] = "not given"
    return metadata


def _storable(text: str) -> str:
    """Return a text without characters that databases reject, so that reasoning cannot make a conversation fail."""
    return text.replace("\x00", "").encode(errors="replace").decode()
