"""A user's own tables in the place of ours: what is asked for, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONVERSATION_NAMES = (
    "id", "owner", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at"
)  # fmt: skip
"""What of a conversation may have a column of theirs."""
TURN_NAMES = ("conversation", "sequence", "order", "id", "role", "content", "metadata")
"""What of a turn may. `conversation` says whose it is; `order` is a column that tells which comes first."""
_OF_TURNS = "turns."


@dataclass(frozen=True, slots=True)
class AdoptionRequest:
    """Which tables shall be adopted, and which of their columns is which of ours."""

    conversations: str
    turns: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Names of ours, those of a turn behind `turns.`, to names of theirs; to an empty one where there shall be none."""

    @property
    def conversation_columns(self) -> dict[str, str]:
        return {name: column for name, column in self.columns.items() if not name.startswith(_OF_TURNS)}

    @property
    def turn_columns(self) -> dict[str, str]:
        return {
            name.removeprefix(_OF_TURNS): column for name, column in self.columns.items() if name.startswith(_OF_TURNS)
        }


@dataclass(frozen=True, slots=True)
class AdoptedTable:
    """A table of theirs in the place of one of ours."""

    name: str
    """Of ours."""
    user_table: str
    """Of theirs, with its schema."""
    rows: int
    columns: Mapping[str, str]
    """Which column of theirs is which of ours."""
    side_columns: Sequence[str]
    """What of ours has no column there, and is kept beside it."""
    other_columns: Sequence[str]
    """Their other columns, which backups hold as they are."""


@dataclass(frozen=True, slots=True)
class AdoptionResult:
    """What adopting came to, or would."""

    tables: Sequence[AdoptedTable]
    not_writable_reason: str | None
    """Why nothing new can be stored in them; None where it can."""
    remarks: Sequence[str]
    """What else is worth knowing: each a sentence."""
    was_adopted: bool = False
    """These tables were adopted before, in the same way."""


@dataclass(frozen=True, slots=True)
class UnadoptResult:
    """What taking an adoption back came to."""

    tables: Sequence[str]
    """The tables that are their own again; none where there was nothing to take back."""
    dropped: Sequence[str] = ()
    """Those that are not there any more."""
    conversations: int = 0
    """Of how many something had no column there, and is lost."""
    turns: int = 0
    """Of how many, likewise."""

    @property
    def is_empty(self) -> bool:
        return not self.tables and not self.dropped
