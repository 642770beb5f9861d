"""The request for an export, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypedDict, Unpack

from backstay.errors import SettingsError
from backstay.library.choices import ExportFormat
from backstay.library.conversation import Conversation
from backstay.library.exports.losses import LossCount
from backstay.library.exports.split import Split
from backstay.library.format_options import PairSource
from backstay.library.formats import FormatOptions, ReasoningMode, SystemMode
from backstay.library.id_text import quoted_id
from backstay.library.provenance import ADDABLE_FIELDS
from backstay.library.trainer_checks import WarningCount


class ConversationObserver(Protocol):
    """An observer of every exported conversation, such as a check of what trainers refuse."""

    def observe(self, conversation: Conversation) -> None:
        """Observe a conversation as it is written. Called from any thread, for one conversation at a time."""

    def finish(self) -> None:
        """Conclude. Called before a file gets its name: an error leaves the target unchanged."""


class ExportChoices(TypedDict, total=False):
    """The arguments of an export, all optional."""

    format: str | None
    """A name of `--format`; by default the file's ending selects it."""
    reasoning: str
    """`keep`, `inline` (before the text, in `<think>` tags) or `drop`."""
    system: str
    """`keep` or `drop`."""
    metadata: bool
    """Whether JSON formats also write id, topic, persona, metadata and so on."""
    with_fields: Sequence[str] | str
    """Fields to add to each row, such as `id,parameters,usage`: the item's other columns, and the used tokens."""
    parsed_arguments: bool
    """Whether the arguments of tool calls are written as objects, as most chat templates expect them."""
    pairs: str
    """`imports` or `edits`: what preference pairs are made of."""
    excel: bool
    """Whether CSV begins with a byte order mark, by which Excel recognizes UTF-8."""
    lossy: bool
    """Whether to leave out what the format cannot hold instead of refusing the export."""
    strict: bool
    """Whether nothing is written if trainers would refuse a conversation; otherwise the result has warnings."""
    split: Mapping[str, float] | str | None
    """The sides, such as `{"train": 0.95, "test": 0.05}`. A conversation always stays on its side."""
    seed: int
    """The seed of the split."""
    shard_size: int | None
    """Maximum conversations per file of a folder."""
    card: bool
    """Whether a dataset card is written: README.md in a folder, NAME.md next to a file."""
    license: str | None
    """The license that the card states."""
    on_progress: Callable[[int], None] | None
    """Called with the number of exported conversations."""
    problems: str | Path | None
    """A file to write, with a line for each conversation that loses something, cannot be written or would be refused by
    trainers: its id, a tab, and the reasons, such as `loses reasoning; ends with the user`. It is also written if these
    refuse the export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The format of an export with its options, and how it is divided into files."""

    format: str | None = None
    """None for the one that the file's ending selects."""
    options: FormatOptions = field(default_factory=FormatOptions)
    lossy: bool = False
    """Whether to leave out what the format cannot hold instead of refusing the export."""
    strict: bool = False
    """Whether nothing is written if trainers would refuse a conversation."""
    split: Split | None = None
    shard_size: int | None = None
    """Maximum conversations per file of a folder."""
    card: bool = False
    """Whether a dataset card is written next to the files."""
    license: str | None = None
    """The license that the card states."""
    observers: Sequence[ConversationObserver] = ()
    on_progress: Callable[[int], None] | None = None
    """Called with the number of exported conversations."""
    problems: Path | None = None
    """The file for the ids of conversations with a problem, and the reasons."""
    on_problem: Callable[[str, Sequence[str]], None] | None = None
    """Called, from any thread, with the id of each of these conversations and the reasons."""

    @classmethod
    def from_choices(cls, **choices: Unpack[ExportChoices]) -> Self:
        """Return the request with these choices. Raises SettingsError if they contradict each other."""
        for name in choices.keys() - ExportChoices.__annotations__.keys():
            raise TypeError(f"there is no choice {name!r}; see backstay.ExportChoices")
        export_format, split, shard_size = choices.get("format"), choices.get("split"), choices.get("shard_size")
        problems = choices.get("problems")
        card, license_text = choices.get("card", False), choices.get("license")
        if shard_size is not None and shard_size < 1:
            raise SettingsError("The shard size is below 1", setting="shard_size")
        if license_text is not None and not card:
            raise SettingsError("A license is written into a dataset card; request one too", setting="license")
        return cls(
            format=ExportFormat(export_format) if export_format is not None else None,
            options=FormatOptions(
                reasoning=ReasoningMode(choices.get("reasoning", ReasoningMode.KEEP)),
                system=SystemMode(choices.get("system", SystemMode.KEEP)),
                metadata=choices.get("metadata", False),
                with_fields=_to_fields(choices.get("with_fields", ())),
                parsed_arguments=choices.get("parsed_arguments", False),
                excel=choices.get("excel", False),
                correction_pairs=PairSource(choices.get("pairs", PairSource.IMPORTS)) is PairSource.EDITS,
            ),
            lossy=choices.get("lossy", False),
            strict=choices.get("strict", False),
            split=_to_split(split, choices.get("seed", 0)),
            shard_size=shard_size,
            card=card,
            license=license_text,
            on_progress=choices.get("on_progress"),
            problems=Path(problems) if problems is not None else None,
        )


def _to_fields(names: Sequence[str] | str) -> tuple[str, ...]:
    """Return the names of fields to add, each once. Raises SettingsError for an unknown one."""
    fields = [name.strip() for name in names.split(",")] if isinstance(names, str) else [str(name) for name in names]
    for name in fields:
        if name not in ADDABLE_FIELDS:
            raise SettingsError(
                f"An export cannot add {quoted_id(name)}; it can add {', '.join(ADDABLE_FIELDS)}", setting="with_fields"
            )
    return tuple(dict.fromkeys(fields))


def _to_split(split: Mapping[str, float] | str | None, seed: int) -> Split | None:
    if split is None:
        return None
    return Split.from_text(split, seed) if isinstance(split, str) else Split.from_fractions(split, seed)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export."""

    name: str
    split: str | None
    """The side of the split that it belongs to."""
    conversations: int


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote, or would write, and what it left out."""

    exported: int
    format: str
    path: str | None
    """The file or folder; None for a stream."""
    files: Sequence[ExportedFile]
    splits: Mapping[str, int]
    """The number of conversations on each side of the split; empty without one."""
    losses: Sequence[LossCount]
    """What was left out because the format cannot hold it; of an export that was written, empty unless `lossy`."""
    left_out: Mapping[str, int]
    """Descriptive fields that the format does not write, each with the number of conversations that have it."""
    warned: int
    """How many of the conversations trainers would refuse."""
    warnings: Sequence[WarningCount]
    """Why trainers would refuse them, most frequent first."""
    notes: Sequence[str]
    """Other remarks, as whole sentences."""
