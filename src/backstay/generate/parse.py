"""From a model's answer to the turns of a conversation, or to the reason why there are none. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backstay.errors import InvalidConversation
from backstay.generate.prompt import role_of, turn_keys
from backstay.generate.providers.provider import Answer, End
from backstay.library.conversation import Conversation, Turn, validate

_MOST_STARTS = 200  # places in a text where JSON is looked for
_LISTS = ("turns", "conversation", "messages", "dialogue", "dialog")
_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant", "gpt": "assistant"}
_DECODER = json.JSONDecoder()


class Unusable(Exception):
    """An answer that is no conversation. The message quotes nothing of it."""

    def __init__(self, code: str, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.may_pass = may_pass
        """Another try may come to something better."""


def turns_of(answer: Answer, turns: int) -> list[Turn]:
    """Return the turns of an answer that is whole, complete, and as asked for.

    Raises:
        Unusable: it is not; nothing of such an answer is kept as a conversation.
    """
    _check_end(answer)
    found = _turns_in(answer, turns)
    for number, turn in enumerate(found):
        if turn.role != role_of(number):
            raise _wrong(f"turn {number + 1} is the {turn.role}'s, but must be the {role_of(number)}'s")
    if len(found) != turns:
        raise _wrong(f"it has {len(found)} turns, and {turns} were asked for")
    try:
        validate(Conversation(found))
    except InvalidConversation as error:
        raise _wrong(error.message) from error
    return found


def _check_end(answer: Answer) -> None:
    match answer.end:
        case End.LENGTH:
            message = (
                "the answer was cut at its greatest length; raise max_tokens in the recipe, or ask for fewer turns"
            )
            raise Unusable("length", message, may_pass=False)
        case End.REFUSAL:
            raise Unusable("refusal", "the model refused to write this conversation", may_pass=False)
        case End.FILTER:
            raise Unusable("content_filter", "the provider's content filter stopped the answer", may_pass=False)
        case End.UNKNOWN:
            raise Unusable("incomplete_answer", "the answer does not say that it is complete", may_pass=True)


def _turns_in(answer: Answer, turns: int) -> list[Turn]:
    if answer.data is not None:
        return _read(answer.data, turns)
    if answer.text is None or not answer.text.strip():
        raise Unusable("empty_answer", "the answer is empty", may_pass=True)
    first: Unusable | None = None
    for value in _json_in(answer.text):
        try:
            return _read(value, turns)
        except Unusable as error:
            first = first or error
    raise first or Unusable("unreadable_answer", "there is no whole JSON object in the answer", may_pass=True)


def _json_in(text: str) -> Iterator[Any]:
    """Yield the outermost objects and lists of JSON in a text, from the left."""
    at = starts = 0
    while starts < _MOST_STARTS:
        at = min((place for place in (text.find("{", at), text.find("[", at)) if place >= 0), default=-1)
        if at < 0:
            return
        starts += 1
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            yield value


def _read(value: Any, turns: int) -> list[Turn]:
    """Read one of the shapes: a key for each turn, or a list of turns, by itself or under a name."""
    if isinstance(value, Mapping):
        keys = turn_keys(turns)
        if keys[0] in value:
            return _keyed(value, keys)
        value = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), value)
    if not isinstance(value, list):
        raise _wrong("it is JSON without turns")
    return [_listed(entry, number) for number, entry in enumerate(value, start=1)]


def _keyed(value: Mapping[str, Any], keys: Sequence[str]) -> list[Turn]:
    missing = next((key for key in keys if key not in value), None)
    if missing is not None:
        raise _wrong(f"{missing} is missing")
    more = [key for key in value if key not in keys and key.rpartition("_")[0] in _ROLES]
    if more:
        raise _wrong(f"it has {len(keys) + len(more)} turns, and {len(keys)} were asked for")
    for key in keys:
        if not isinstance(value[key], str):
            raise _wrong(f"{key} is no text")
    return [Turn(role_of(number), value[key]) for number, key in enumerate(keys)]


def _listed(entry: Any, number: int) -> Turn:
    if not isinstance(entry, Mapping):
        raise _wrong(f"turn {number} is no object with a role and content")
    role, content = entry.get("role", entry.get("from")), entry.get("content", entry.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise _wrong(f"turn {number} has no role, or no content")
    known = _ROLES.get(role.strip().lower())
    if known is None:
        raise _wrong(f"turn {number} has a role other than user and assistant")
    return Turn(known, content)


def _wrong(message: str) -> Unusable:
    return Unusable("wrong_shape", f"the answer is no conversation as asked for: {message}", may_pass=True)
