"""Export formats. Each module here is one format with the module's name, so that a format is added as one file.

A format turns each conversation into one chunk of bytes, so that exports stream. Its `head` precedes the chunks, and
its `tail` follows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar

from backstay.library.format_options import FormatOptions, ReasoningMode, SystemMode
from backstay.library.loss import BEYOND_TEXT, Loss

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation

__all__ = ["DEFAULT", "Format", "FormatOptions", "Loss", "ReasoningMode", "SystemMode", "format_names", "load_format"]

DEFAULT = "messages"
DESCRIPTION = ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at")
TURN_IDS, TURN_METADATA = TURN_DESCRIPTION = ("turn ids", "turn metadata")


class Format(ABC):
    """An encoder of conversations. Each export uses a new instance."""

    label: ClassVar[str]
    """Its name for people."""
    media_type: ClassVar[str] = "application/jsonl"
    suffix: ClassVar[str] = "jsonl"
    is_for_training: ClassVar[bool] = True
    """Whether trainers read it, so that exports warn of what they would refuse."""
    depends_on_turn_fields: ClassVar[bool] = False
    """Whether the format has another schema with `turn_fields`, so that the library has to be asked for them first."""
    row_conversations: ClassVar[int] = 1
    """How many conversations a row is made of."""
    describes: Collection[str] = ()
    """What is always written of what describes a conversation: the names that `unwritten` returns otherwise."""
    turn_metadata: Collection[str] = ("weight",)
    """The keys of a turn's metadata that are part of the training data, not of a description."""
    lacks: Collection[Loss] = BEYOND_TEXT
    """What the format cannot hold, wherever it stands."""

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        self.options = options

    @property
    def waiting(self) -> int:
        """How many conversations wait for others of their row."""
        return 0

    def losses(self, conversation: "Conversation") -> Mapping[Loss, int]:
        """Return what the format cannot hold of a conversation, with counts. `chunk` leaves exactly that out."""
        from backstay.library.training_content import count_features  # every command's help imports this module

        fitted, left_out = self.fit(self.options.apply(conversation))
        features = count_features(fitted) if fitted is not None else {}
        return {**left_out, **{loss: count for loss, count in features.items() if loss in self.lacks}}

    def final_losses(self) -> Mapping[Loss, int]:
        """Return the losses that show only after `losses` was called for all conversations."""
        return {}

    def refusal(self, conversation: "Conversation") -> str | None:
        """Return why a conversation cannot be written at all, as in "turn 2 holds <|im_end|>"; None if it can."""
        return None if self.options.apply(conversation).turns else "it has only system messages, which are left out"

    def unwritten(self, conversation: "Conversation") -> Collection[str]:
        """Return what describes the conversation and is left out, such as `topic`. This is no loss for a trainee."""
        return [name for name in self._descriptions(conversation) if name not in self.describes]

    def _descriptions(self, conversation: "Conversation") -> Iterator[str]:
        """Yield the names of what describes this conversation."""
        yield from (name for name in DESCRIPTION if getattr(conversation, name))
        if any(turn.id for turn in conversation.turns):
            yield TURN_IDS
        if any(turn.metadata and turn.metadata.keys() - self.turn_metadata for turn in conversation.turns):
            yield TURN_METADATA

    def fit(self, conversation: "Conversation") -> "tuple[Conversation | None, Mapping[Loss, int]]":
        """Return the conversation without turns that have no place in the format, and the counts of those.

        It is None if nothing of it can be written.
        """
        return conversation, {}

    def as_written(self, conversation: "Conversation") -> "Conversation":
        """Return a conversation of which something is written, with the turns that are."""
        fitted, _ = self.fit(self.options.apply(conversation))
        return fitted or conversation

    def notes(self) -> Sequence[str]:
        """Return what a user should know about what was written so far, as whole sentences."""
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
