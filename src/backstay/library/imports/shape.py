"""The base of all shapes of imported rows."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from backstay.library.imports.bedrock import read_tool_config
from backstay.library.imports.import_row import ImportRow, Values, plain_turn
from backstay.library.imports.message import read_content, read_message
from backstay.library.imports.tools import as_list, read_functions, read_tools
from backstay.library.record import Document

LIST_KEYS = (
    "messages", "conversations", "conversation", "turns", "items", "dialog", "dialogue", "chat", "trajectory", "history"
)  # fmt: skip
"""The keys under which files hold lists of turns."""

_LISTS = frozenset(LIST_KEYS)
_SPEAKER_KEYS = ("role", "from", "speaker")
_SYSTEM_KEYS = ("system", "system_prompt")
_QUESTIONS = frozenset(("instruction", "prompt", "question", "query"))
_TOOLS = {"tools": read_tools, "functions": read_functions, "toolConfig": read_tool_config}
_MAYBE_JSON = _LISTS | {"prompt", "completion", "chosen", "rejected"}


class Shape(ABC):
    """A shape of rows. Each module of `library.imports.shapes` is one; they have no state."""

    label: ClassVar[str]
    """What a row of this shape has, for the error about a row of no known shape."""
    keys: ClassVar[Sequence[str]]
    """Keys of rows. A row with none of them does not have this shape."""
    more_keys: ClassVar[Collection[str]] = ()
    """Other keys that it reads."""
    rank: ClassVar[int]
    """If a row matches several shapes, the one with the lowest rank is read; two of the same rank are refused."""

    @abstractmethod
    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Return the names of what this shape would read of the row, usually keys, for the error about two of them."""

    @abstractmethod
    def read(self, row: ImportRow, name: str) -> list[Document]:
        """Return the conversations under a name that `find` returned. Raises InvalidRow."""


class TurnListShape(Shape):
    """A shape with a list of turns under one of many keys, recognized by the turns."""

    label = "a list of messages with role and content"
    keys = LIST_KEYS
    rank = 2
    speaker_key: ClassVar[str]
    content_keys: ClassVar[Sequence[str]]

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        return [key for key in values if key in _LISTS and self.fits(values[key]) and not is_past(key, values)]

    def fits(self, turns: Any) -> bool:
        """Return whether a value of the row is a list of turns of this shape."""
        return speaker_key_of(turns) == self.speaker_key

    def read(self, row: ImportRow, name: str) -> list[Document]:
        turns = list(self.read_turns(row.values.pop(name), row))
        return [row.to_document(with_system(turns, row), take_tools(row.values))]

    def read_turns(self, messages: Sequence[Any], row: ImportRow, start: int = 1) -> Iterator[Document]:
        """Yield the turns of a list; errors number its messages from `start`. Raises InvalidRow."""
        for number, message in enumerate(messages, start=start):
            yield read_message(message, number, row, speaker_key=self.speaker_key, content_keys=self.content_keys)


def speaker_key_of(turns: Any) -> str | None:
    """Return the key that names the speaker in a list of turns; None for any other value."""
    for turn in turns if type(turns) is list else ():
        for key in _SPEAKER_KEYS if type(turn) is dict else ():
            if key in turn:
                return key
    return None


def to_turns(value: Any, role: str, row: ImportRow, *, start: int = 1) -> list[Document]:
    """Return the turns of a value: a text by this role, a message, or a list of messages. Raises InvalidRow."""
    messages = to_messages(value, role)
    if messages == []:
        return []
    for shape in all_shapes():
        if isinstance(shape, TurnListShape) and shape.fits(messages):
            return list(shape.read_turns(messages, row, start))
    raise row.error(f"turn {start}, by the {role}, must be text or a list of messages")


def to_messages(value: Any, role: str) -> Any:
    """Return a text by this role, or a message, as a list of messages; any other value unchanged."""
    message = {"role": role, "content": value} if isinstance(value, str) else value
    return [message] if isinstance(message, dict) else message


def read_exchange(row: ImportRow, question: Any, answer: Any) -> Document:
    """Return the conversation of a question and its answer, after the row's history. Raises InvalidRow."""
    turns = to_turns(take_history(row), "user", row)
    for role, value in (("user", question), ("assistant", answer)):
        turns += to_turns(value, role, row, start=len(turns) + 1)
    return row.to_document(with_system(turns, row), take_tools(row.values))


def take_history(row: ImportRow) -> list[Any]:
    """Remove the turns before the question of a row, and return them as messages.

    They are a list of messages, or of pairs of a question and its answer. Raises InvalidRow for any other list.
    """
    history = as_list(row.values.get("history"))
    if history is None:
        return []
    del row.values["history"]
    if all(map(_is_pair, history)):
        roles = ("user", "assistant")
        return [{"role": role, "content": text} for pair in history for role, text in zip(roles, pair, strict=True)]
    if speaker_key_of(history) is None:
        raise row.error("'history' must be a list of messages, or of pairs of a question and its answer")
    return list(history)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)


@cache
def all_shapes() -> Sequence[Shape]:
    """Return an instance of each shape, the only one in its module."""
    package = import_module("backstay.library.imports.shapes")
    modules = [import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)]
    return [
        value()
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Shape) and value.__module__ == module.__name__
    ]


def is_past(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether a key is `history` and only precedes a question in the row."""
    return key == "history" and not _QUESTIONS.isdisjoint(values)


def with_system(turns: list[Document], row: ImportRow) -> list[Document]:
    """Return the turns with the row's system message in front, unless they begin with one."""
    if turns and turns[0]["role"] == "system":
        return turns
    for key in _SYSTEM_KEYS:
        value = row.values.get(key)
        if value and ((isinstance(value, str) and not value.isspace()) or _is_list_of_blocks(value)):
            content, parts = read_content(row.values.pop(key), 1, row)
            system = plain_turn("system", content)
            system["metadata"] = {"parts": parts} if parts is not None else {}
            return [system, *turns]
    return turns


def _is_list_of_blocks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(block, dict) and "text" in block for block in value)


def take_tools(values: Values) -> dict[str, Any]:
    """Remove the definitions of tools, and return them as they are stored in the metadata."""
    for key, read in _TOOLS.items():
        if key in values and (tools := read(values[key])) is not None:
            del values[key]
            return {"tools": tools}
    return {}


def parse_lists(values: Values) -> None:
    """Replace the lists of messages that tables such as CSV and Parquet hold as JSON text."""
    for key, value in values.items():
        if type(value) is str and key in _MAYBE_JSON and speaker_key_of(turns := as_list(value)) is not None:
            values[key] = turns
