"""Export formats. Each module here is one format with the module's name, so that a format is added as one file.

A format turns each conversation into one chunk of bytes, so that exports stream. Its `head` precedes the chunks, and
its `tail` follows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation

DEFAULT = "messages"


class ReasoningMode(StrEnum):
    """The treatment of reasoning in an export."""

    KEEP = "keep"
    """Write it where the format has a place for it."""
    INLINE = "inline"
    """Write it before the text, in `<think>` tags."""
    DROP = "drop"
    """Leave it out."""


class SystemMode(StrEnum):
    """The treatment of system messages in an export."""

    KEEP = "keep"
    DROP = "drop"
    """Leave them out."""


class Loss(StrEnum):
    """Something that a trainee reads and that a format cannot hold; the value is its name for people."""

    TOOLS = "tool definitions"
    TOOL_CALLS = "tool calls"
    TOOL_CALL_IDS = "ids of tool calls"
    TOOL_CALL_KEYS = "further keys of tool calls"
    ARGUMENTS = "tool arguments that are no JSON object"
    REASONING = "reasoning"
    PARTS = "content parts that are not text"
    NAMES = "names"
    WEIGHTS = "weights"
    ROLES = "turns whose role the format lacks"
    SYSTEM = "system messages after the first turn"
    ORDER = "turns outside of the order of question and answer"
    COUNTERPART = "conversations without a counterpart"


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """The options of an export that change what a format writes."""

    reasoning: ReasoningMode = ReasoningMode.KEEP
    system: SystemMode = SystemMode.KEEP
    metadata: bool = False
    """Whether id, topic, persona, metadata and so on are written too, where the format is JSON."""
    excel: bool = False
    """Whether CSV begins with a byte order mark, by which Excel recognizes UTF-8."""
    turn_fields: bool = True
    """Whether any conversation has tools or other fields of turns; the schema of Parquet is simpler without."""


class Format(ABC):
    """An encoder of conversations. Each export uses a new instance."""

    label: ClassVar[str]
    """Its name for people."""
    media_type: ClassVar[str] = "application/jsonl"
    suffix: ClassVar[str] = "jsonl"

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        self.options = options

    def losses(self, conversation: "Conversation") -> Mapping[Loss, int]:
        """Return what the format cannot hold of a conversation, with counts. `chunk` leaves exactly that out."""
        return {}

    def final_losses(self) -> Mapping[Loss, int]:
        """Return the losses that show only after `losses` was called for all conversations."""
        return {}

    def refusal(self, conversation: "Conversation") -> str | None:
        """Return why a conversation cannot be written at all, as in "turn 2 holds <|im_end|>"; None if it can."""
        return None

    def unwritten(self, conversation: "Conversation") -> Collection[str]:
        """Return the fields that describe the conversation and are left out, such as `topic`. They are no losses."""
        return ()

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        return b""

    @abstractmethod
    def chunk(self, conversation: "Conversation") -> bytes:
        """Return the bytes of one conversation, with the line end; none while the format collects conversations."""

    def tail(self) -> bytes:
        """Return the bytes after the last conversation."""
        return b""


def format_names() -> list[str]:
    """Return the names of all formats, the default first. Loads none, since every command's help lists them."""
    names = (module.name.replace("_", "-") for module in iter_modules(__path__))
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def load_format(name: str) -> type[Format]:
    """Return the format of that name, the only one in its module."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    (format_class,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Format) and value.__module__ == module.__name__
    )
    return format_class
