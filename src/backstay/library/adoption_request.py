"""The request to adopt a user's own tables in place of the built-in ones, and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONVERSATION_NAMES = (
    "id", "owner", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at"
)  # fmt: skip
"""The fields of a conversation that can be mapped to a column of the user's table."""
TURN_NAMES = ("conversation", "sequence", "order", "id", "role", "content", "metadata")
"""The fields of a turn that can be mapped. `conversation` refers to its conversation; `order` sorts the turns."""
_TURN_PREFIX = "turns."


@dataclass(frozen=True, slots=True)
class AdoptionRequest:
    """The tables to adopt, and the mapping of their columns."""

    conversations: str
    turns: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """The column of the user's table for each field, or "" for none. A turn's field is written like `turns.role`."""

    @property
    def conversation_columns(self) -> dict[str, str]:
        return {name: column for name, column in self.columns.items() if not name.startswith(_TURN_PREFIX)}

    @property
    def turn_columns(self) -> dict[str, str]:
        return {
            name.removeprefix(_TURN_PREFIX): column
            for name, column in self.columns.items()
            if name.startswith(_TURN_PREFIX)
        }


@dataclass(frozen=True, slots=True)
class AdoptedTable:
    """A user table in place of a built-in one."""

    name: str
    """The name of the built-in table."""
    user_table: str
    """The name of the user table, with its schema."""
    rows: int
    columns: Mapping[str, str]
    """The user column of each built-in name."""
    side_columns: Sequence[str]
    """The built-in columns that the user table lacks; they are stored in a side table."""
    other_columns: Sequence[str]
    """The user columns that are mapped to no built-in name; backups hold them unchanged."""


@dataclass(frozen=True, slots=True)
class AdoptionResult:
    """The result of adopting tables, or of checking that they can be adopted."""

    tables: Sequence[AdoptedTable]
    not_writable_reasons: Sequence[str]
    """Why no new conversations can be stored in them; empty if they can."""
    remarks: Sequence[str]
    """What else the user should know, one sentence each."""
    was_adopted: bool = False
    """Whether these tables had already been adopted with the same mapping."""


@dataclass(frozen=True, slots=True)
class UnadoptResult:
    """The result of undoing an adoption."""

    tables: Sequence[str]
    """The user tables that are no longer adopted; empty if none were."""
    dropped: Sequence[str] = ()
    """The adopted tables that no longer exist."""
    conversations: int = 0
    """How many conversations lose values for which the user table had no column."""
    turns: int = 0
    """How many turns lose such values."""
    curated: int = 0
    """How many conversations lose their reviews and earlier versions."""

    @property
    def is_empty(self) -> bool:
        return not self.tables and not self.dropped
