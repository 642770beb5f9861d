"""Detection of answers that only repeat their prompt. Pure."""

import json
import re
from collections.abc import Iterator, Sequence

import orjson

from backstay.batch.item import Item
from backstay.generate.prompt import Prompt
from backstay.library.turn import Turn

_MIN_CHARACTERS = 20  # in all turns together; fewer may occur in a prompt by chance
_MAX_TURN_WORDS = 400
# A turn must occur as a whole, between delimiters.
_BEFORE = r"""(?:^|[:>=|*"'“”„«»‘’`-])\s*"""
_AFTER = r"""\s*(?:$|[<|*,}\]"'“”«»‘’`])"""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))|''", re.DOTALL)
_ESCAPED_CHARACTERS = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": " "}


def repeats_prompt(turns: Sequence[Turn], prompt: Prompt) -> bool:
    """Return whether all turns occur in a prompt, written as JSON, as YAML or as lines of a dialogue.

    Turns that occur in the item itself do not count, because the task may be to return the item's dialogue.
    """
    texts = (prompt.user,) if prompt.system is None else (prompt.user, prompt.system)
    if not any(_may_occur(turns[0].content, text) for text in texts) or not _all_occur(turns, texts):
        return False
    return prompt.item is None or not _all_occur(turns, tuple(_item_texts(prompt.item)))


def _all_occur(turns: Sequence[Turn], texts: Sequence[str]) -> bool:
    if all(_is_quoted(turn.content, texts) for turn in turns):
        return True
    if sum(len(turn.content) for turn in turns) < _MIN_CHARACTERS:
        return False
    return all(any(_occurs(turn.content, text) for text in texts) for turn in turns)


def _item_texts(item: Item) -> Iterator[str]:
    yield item.topic
    yield item.persona or ""
    yield json.dumps(dict(item.parameters), ensure_ascii=False, default=str)
    yield from (value for value in item.parameters.values() if isinstance(value, str))


def _is_quoted(content: str, texts: Sequence[str]) -> bool:
    quoted = orjson.dumps(content).decode()
    return any(quoted in text for text in texts)


def _may_occur(content: str, text: str) -> bool:
    """Return whether a text has the first words of a turn's content. This quick check settles most answers."""
    is_plain = "\\" not in text and "''" not in text
    if is_plain and content.split(None, 1)[0][:8] not in text:
        return False
    words = content[:120].split()[:6]
    # Words of letters alone look the same in all notations, except where non-ASCII letters are escaped.
    return all(word in text or not word.isalnum() or not (is_plain or word.isascii()) for word in words)


def _occurs(content: str, text: str) -> bool:
    if not _may_occur(content, text) or len(words := content.split()) > _MAX_TURN_WORDS:
        return False
    whole = re.compile(_BEFORE + r"\s+".join(map(re.escape, words)) + _AFTER, re.MULTILINE)
    return whole.search(text) is not None or whole.search(_ESCAPE.sub(_unescape, text)) is not None


def _unescape(match: re.Match[str]) -> str:
    code, simple = match.groups()
    if code:
        return chr(int(code, 16))
    return _ESCAPED_CHARACTERS.get(simple, simple) if simple else "'"
