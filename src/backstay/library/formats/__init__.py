"""Export formats. Each module here is one format with the module's name, so that a format is added as one file.

A format writes each conversation as one chunk of bytes, so that exports stream. The `head` precedes the chunks, and the
`tail` follows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from backstay.errors import SettingsError
from backstay.library.format_options import FormatOptions, ReasoningMode, SystemMode
from backstay.library.loss import MORE_THAN_TEXT, Loss
from backstay.library.provenance import ADDABLE_FIELDS, describes_origin_only

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation
    from backstay.library.trainer_checks import Check
    from backstay.library.turn import Turn

__all__ = [
    "DEFAULT",
    "Format",
    "FormatOptions",
    "Loss",
    "PreparedConversation",
    "ReasoningMode",
    "SystemMode",
    "format_names",
    "load_format",
]

DEFAULT = "messages"
DESCRIPTIVE_FIELDS = ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at")
_OPTIONS = {
    "excel": "Excel",
    "metadata": "metadata",
    "parsed_arguments": "parsed arguments",
    "with_fields": "added fields",
}
TURN_IDS, TURN_METADATA = DESCRIPTIVE_TURN_FIELDS = ("turn ids", "turn metadata")


class PreparedConversation(NamedTuple):
    """What a format writes of a conversation, and what it leaves out."""

    conversation: "Conversation | None"
    """The conversation as it is written: with the options applied, without turns that the format cannot hold. None if
    nothing of it is written."""
    losses: Mapping[Loss, int] = {}
    """What the format cannot hold, with counts."""
    refusal: str | None = None
    """Why the conversation cannot be written at all, as in "turn 2 contains <|im_end|>"."""


class Format(ABC):
    """An encoder of conversations. Each export uses a new instance."""

    label: ClassVar[str]
    """Its name for people."""
    media_type: ClassVar[str] = "application/jsonl"
    suffix: ClassVar[str] = "jsonl"
    is_for_training: ClassVar[bool] = True
    """Whether trainers read it, so that exports warn about what they would refuse."""
    trainer_checks: "ClassVar[Sequence[Check]]" = ()
    """Checks for what trainers refuse in this format only."""
    depends_on_turn_fields: ClassVar[bool] = False
    """Whether the schema depends on the option `turn_fields`, so that the library must be checked for them first."""
    row_conversations: ClassVar[int] = 1
    """How many conversations make a row."""
    takes_correction_pairs: ClassVar[bool] = False
    """Whether it writes pairs, so that the option for pairs of corrections has an effect."""
    written_fields: Collection[str] = ()
    """The descriptive fields that the format writes."""
    unusable_options: ClassVar[Collection[str]] = ("excel",)
    """The options of `FormatOptions` that have no effect, and so are refused."""
    unsupported: Collection[Loss] = MORE_THAN_TEXT
    """What the format cannot hold in any turn."""

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        from backstay.library.training_content import count_features  # every command's help imports this module

        for name in self.unusable_options:
            if getattr(options, name):
                raise SettingsError(
                    f"The option for {_OPTIONS[name]} has no effect in this format ({self.label}); leave it out",
                    setting=name,
                )
        if options.correction_pairs and not self.takes_correction_pairs:
            raise SettingsError(
                f"Corrections are pairs in the format trl-preference only, not in this one ({self.label})",
                setting="pairs",
            )
        self.options = options
        self._count_features = count_features

    @property
    def waiting(self) -> int:
        """How many conversations wait for others of their row."""
        return 0

    def prepare(self, conversation: "Conversation") -> PreparedConversation:
        """Return what `chunk` can write of a conversation, and what is left out."""
        if (refusal := self.refusal(conversation)) is not None:
            return PreparedConversation(None, refusal=refusal)
        applied = self.options.apply(conversation)
        if not applied.turns:
            return PreparedConversation(None, refusal="it has only system messages, which are left out")
        supported, losses = self.remove_unsupported(applied)
        if supported is not None and (features := self._count_features(supported)):
            losses = {**{loss: count for loss, count in features.items() if loss in self.unsupported}, **losses}
        return PreparedConversation(supported, losses)

    def refusal(self, conversation: "Conversation") -> str | None:
        """Return why a conversation cannot be written, None if it can. Turns are numbered as stored."""
        return None

    def final_losses(self) -> Sequence[tuple[str, Loss]]:
        """Return the ids of conversations that are left out after all, once all were prepared, each with the reason."""
        return ()

    def omitted_fields(self, conversation: "Conversation") -> Collection[str]:
        """Return the descriptive fields of a prepared conversation that are left out. They are not a loss."""
        omitted = [name for name in self._unwritten_fields if getattr(conversation, name)]
        if "metadata" in omitted and describes_origin_only(conversation.metadata):
            omitted.remove("metadata")
        described = [turn for turn in conversation.turns if turn.id or turn.metadata or turn.parts]
        if described and TURN_IDS not in self.written_fields and any(turn.id for turn in described):
            omitted.append(TURN_IDS)
        if described and TURN_METADATA not in self.written_fields and any(map(self._is_described, described)):
            omitted.append(TURN_METADATA)
        return omitted

    @cached_property
    def _unwritten_fields(self) -> Collection[str]:
        return [name for name in DESCRIPTIVE_FIELDS if name not in (*self.written_fields, *self.options.with_fields)]

    def _is_described(self, turn: "Turn") -> bool:
        return bool(turn.outdated_parts or (turn.metadata and turn.metadata.keys() - self.training_keys(turn)))

    def training_keys(self, turn: "Turn") -> Collection[str]:
        """Return the keys of a turn's metadata that are training data, and so either written or counted as a loss."""
        from backstay.library.training_content import weight_key  # every command's help imports this module

        return () if (key := weight_key(turn)) is None else (key,)

    def remove_unsupported(self, conversation: "Conversation") -> "tuple[Conversation | None, Mapping[Loss, int]]":
        """Return the conversation without the turns that the format cannot hold, and what was removed, with counts.

        The conversation is None if none of it can be written.
        """
        return conversation, {}

    def notes(self) -> Sequence[str]:
        """Return remarks for the user about what was written so far, as whole sentences."""
        return ()

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        return b""

    @abstractmethod
    def chunk(self, conversation: "Conversation") -> bytes:
        """Return the bytes of a prepared conversation, with the line end; none while the format collects them."""

    def tail(self) -> bytes:
        """Return the bytes after the last conversation."""
        return b""

    @cached_property
    def added_fields(self) -> Sequence[str]:
        """The names of the option `with_fields` that the format does not write anyway."""
        return [name for name in self.options.with_fields if name not in self.written_fields]

    def added_values(self, conversation: "Conversation") -> Iterator[tuple[str, Any]]:
        """Yield the added fields of a conversation, with None for those that it lacks."""
        for name in self.added_fields:
            yield name, ADDABLE_FIELDS[name](conversation)

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
