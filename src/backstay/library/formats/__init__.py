"""Export formats. Each module here is one format with the module's name, so that a format is added as one file.

A format writes each conversation as one chunk of bytes, so that exports stream. The `head` precedes the chunks, and the
`tail` follows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar

from backstay.library.format_options import FormatOptions, ReasoningMode, SystemMode
from backstay.library.loss import MORE_THAN_TEXT, Loss

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation

__all__ = ["DEFAULT", "Format", "FormatOptions", "Loss", "ReasoningMode", "SystemMode", "format_names", "load_format"]

DEFAULT = "messages"
DESCRIPTIVE_FIELDS = ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at")
TURN_IDS, TURN_METADATA = DESCRIPTIVE_TURN_FIELDS = ("turn ids", "turn metadata")


class Format(ABC):
    """An encoder of conversations. Each export uses a new instance."""

    label: ClassVar[str]
    """Its name for people."""
    media_type: ClassVar[str] = "application/jsonl"
    suffix: ClassVar[str] = "jsonl"
    is_for_training: ClassVar[bool] = True
    """Whether trainers read it, so that exports warn about what they would refuse."""
    depends_on_turn_fields: ClassVar[bool] = False
    """Whether the schema depends on the option `turn_fields`, so that the library must be checked for them first."""
    row_conversations: ClassVar[int] = 1
    """How many conversations make a row."""
    written_fields: Collection[str] = ()
    """The descriptive fields that the format always writes."""
    training_keys: Collection[str] = ("weight",)
    """The keys of a turn's metadata that are training data rather than descriptive."""
    unsupported: Collection[Loss] = MORE_THAN_TEXT
    """What the format cannot hold in any turn."""

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        self.options = options

    @property
    def waiting(self) -> int:
        """How many conversations wait for others of their row."""
        return 0

    def losses(self, conversation: "Conversation") -> Mapping[Loss, int]:
        """Return what the format cannot hold of a conversation, with counts. `chunk` leaves exactly that out."""
        from backstay.library.training_content import count_features  # every command's help imports this module

        supported, left_out = self.remove_unsupported(self.options.apply(conversation))
        features = count_features(supported) if supported is not None else {}
        return {**left_out, **{loss: count for loss, count in features.items() if loss in self.unsupported}}

    def final_losses(self) -> Mapping[Loss, int]:
        """Return the losses that are known only after `losses` was called for all conversations."""
        return {}

    def refusal(self, conversation: "Conversation") -> str | None:
        """Return why a conversation cannot be written at all, as in "turn 2 contains <|im_end|>"; None if it can."""
        return None if self.options.apply(conversation).turns else "it has only system messages, which are left out"

    def omitted_fields(self, conversation: "Conversation") -> Collection[str]:
        """Return the descriptive fields that are left out, such as `topic`. They are not a loss."""
        return [name for name in self._descriptive_fields(conversation) if name not in self.written_fields]

    def _descriptive_fields(self, conversation: "Conversation") -> Iterator[str]:
        """Yield the names of the descriptive fields that this conversation has."""
        yield from (name for name in DESCRIPTIVE_FIELDS if getattr(conversation, name))
        described = [turn for turn in conversation.turns if turn.id or turn.metadata]
        if any(turn.id for turn in described):
            yield TURN_IDS
        if any(turn.metadata and turn.metadata.keys() - self.training_keys for turn in described):
            yield TURN_METADATA

    def remove_unsupported(self, conversation: "Conversation") -> "tuple[Conversation | None, Mapping[Loss, int]]":
        """Return the conversation without the turns that the format cannot hold, and how many there were of each kind.

        The conversation is None if none of it can be written.
        """
        return conversation, {}

    def as_written(self, conversation: "Conversation") -> "Conversation":
        """Return a conversation of which something is written, with the turns that are."""
        fitted, _ = self.remove_unsupported(self.options.apply(conversation))
        return fitted or conversation

    def notes(self) -> Sequence[str]:
        """Return remarks for the user about what was written so far, as whole sentences."""
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

    def next_file(self) -> "Format":
        """Return the encoder of the next file of the same export; itself if it collects conversations across files."""
        return type(self)(self.options)


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
