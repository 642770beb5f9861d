"""Mapping of user columns to built-in ones: as requested, else by name, and by the foreign key between the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.errors import CannotAdopt
from backstay.library.adoption_request import CONVERSATION_NAMES, TURN_NAMES, AdoptionRequest
from backstay.remedy import Remedy
from backstay.storage.postgres.adoption.catalog import TurnForeignKey, UserColumn, UserTable
from backstay.storage.postgres.queries import quoted

NUMBERS = frozenset({"int2", "int4", "int8"})
TIMES = frozenset({"timestamptz", "timestamp"})
JSON = frozenset({"json", "jsonb"})
TEXTS = frozenset({"text", "varchar", "bpchar", "citext", "enum"})
_IDS = frozenset({"text", "varchar", "uuid"}) | NUMBERS
_NAMES = frozenset({"text", "varchar"})

_ALLOWED_TYPES = {
    "id": _IDS, "owner": _IDS, "topic": TEXTS, "persona": TEXTS, "content": TEXTS, "metadata": JSON,
    "job_id": _NAMES, "item_id": _NAMES, "created_at": TIMES, "updated_at": TIMES, "role": TEXTS, "sequence": NUMBERS,
}  # fmt: skip
_TYPE_DESCRIPTIONS = {
    _IDS: "text, uuid or a whole number", TEXTS: "text or an enum", JSON: "jsonb or json", _NAMES: "text",
    TIMES: "timestamptz or timestamp", NUMBERS: "a whole number",
}  # fmt: skip
_SORTABLE = ("N", "D", "S")
"""Type categories that can be sorted by: numbers, times, texts."""


@dataclass(frozen=True, slots=True)
class TableMapping:
    """Two user tables, and the built-in columns that their columns stand for."""

    conversations: UserTable
    turns: UserTable
    conversation_columns: Mapping[str, UserColumn]
    """By the name of the built-in column."""
    turn_columns: Mapping[str, UserColumn]
    parent: UserColumn
    """The column of turns that refers to the conversation."""
    foreign_key: TurnForeignKey
    """The foreign key of `parent`."""
    order: UserColumn | None
    """The column of turns that sorts them, if none numbers them."""
    default_owner: str
    """The owner of all rows, if no column holds one."""

    @property
    def turn_identity(self) -> tuple[str, ...]:
        """The columns that identify a turn."""
        if "id" in self.turn_columns:
            return (self.turn_columns["id"].name,)
        return self.parent.name, self.turn_columns["sequence"].name

    @property
    def side_columns(self) -> list[str]:
        """The built-in columns of a conversation that the side table holds."""
        return [name for name in CONVERSATION_NAMES if name not in self.conversation_columns]

    @property
    def side_turn_columns(self) -> list[str]:
        """The built-in columns of a turn that the side table holds."""
        return [name for name in ("id", "metadata") if name not in self.turn_columns]


def map_columns(
    request: AdoptionRequest,
    conversations: UserTable,
    turns: UserTable,
    foreign_keys: Sequence[TurnForeignKey],
    owner: str,
) -> TableMapping:
    """Return which user column stands for which built-in one. Raises CannotAdopt if the tables do not allow it."""
    if conversations.quoted_name == turns.quoted_name:
        raise CannotAdopt(f"{turns.name} cannot hold both conversations and turns", table=turns.name)
    conversation_columns = _map(conversations, request.conversation_columns, CONVERSATION_NAMES, "")
    turn_columns = _map(turns, request.turn_columns, TURN_NAMES, "turns.")
    identity = _require(conversation_columns, "id", conversations, "")
    if not conversations.is_unique(identity.name):
        raise CannotAdopt(
            f"{conversations.name}.{identity.name} is not unique, or may be null. Change that: "
            f"`{_add_unique(conversations, identity)}`",
            remedy=Remedy.MAP_COLUMN,
            map="id",
            table=conversations.name,
            column=identity.name,
        )
    requested_parent, order = turn_columns.pop("conversation", None), turn_columns.pop("order", None)
    foreign_key, parent = _foreign_key(requested_parent, conversations, turns, foreign_keys, identity)
    for name in ("role", "content"):
        _require(turn_columns, name, turns, "turns.")
    _check_order(turns, turn_columns, order, parent)
    return TableMapping(conversations, turns, conversation_columns, turn_columns, parent, foreign_key, order, owner)


def _map(
    table: UserTable, requested: Mapping[str, str], names: Sequence[str], prefix: str
) -> dict[str, UserColumn]:  # fmt: skip
    mapped: dict[str, UserColumn] = {}
    for name, column_name in requested.items():
        if name not in names:
            raise CannotAdopt(
                f"{prefix}{name} is not a built-in name; the names are: {', '.join(prefix + known for known in names)}",
                column=name,
            )
        if column_name:
            mapped[name] = _column(table, column_name)
            _check_type(table, prefix + name, mapped[name], _ALLOWED_TYPES.get(name))
    for name in [name for name in names if name not in requested]:
        column = table.columns.get(name)
        if column is None or column.base not in _ALLOWED_TYPES.get(name, ()):
            continue
        if _conflicting_name(mapped, name, column) is None:
            mapped[name] = column
    for name, column in mapped.items():
        if (other := _conflicting_name(mapped, name, column)) is not None:
            raise CannotAdopt(
                f"{table.name}.{column.name} cannot be both {prefix}{name} and {prefix}{other}", table=table.name
            )
    return mapped


def _conflicting_name(mapped: Mapping[str, UserColumn], name: str, column: UserColumn) -> str | None:
    """Return another name to which the column is mapped. An id may also be the order."""
    return next(
        (
            other
            for other, mapped_column in mapped.items()
            if mapped_column.name == column.name and other != name and {name, other} != {"id", "order"}
        ),
        None,
    )


def _column(table: UserTable, name: str) -> UserColumn:
    if name in table.generated:
        raise CannotAdopt(
            f"{table.name}.{name} is computed from other columns, so nothing can be stored in it; map one of those",
            table=table.name,
            column=name,
        )
    if name not in table.columns:
        raise CannotAdopt(
            f"{table.name} has no column {name!r}; it has: {', '.join(table.columns)}", table=table.name, column=name
        )
    return table.columns[name]


def _check_type(table: UserTable, name: str, column: UserColumn, allowed: frozenset[str] | None) -> None:
    if allowed is not None and column.base not in allowed:
        raise CannotAdopt(
            f"{table.name}.{column.name} is of type {column.type}, and {name} has to be {_TYPE_DESCRIPTIONS[allowed]}",
            table=table.name,
            column=column.name,
        )


def _require(mapped: Mapping[str, UserColumn], name: str, table: UserTable, prefix: str) -> UserColumn:
    if name not in mapped:
        raise CannotAdopt(
            f"No column of {table.name} is mapped to the {name}; the table has: {', '.join(table.columns)}",
            remedy=Remedy.MAP_COLUMN,
            map=f"{prefix}{name}",
            table=table.name,
        )
    return mapped[name]


def _foreign_key(
    requested: UserColumn | None,
    conversations: UserTable,
    turns: UserTable,
    foreign_keys: Sequence[TurnForeignKey],
    identity: UserColumn,
) -> tuple[TurnForeignKey, UserColumn]:
    """Return the foreign key from turns to conversations, and its column that refers to the id."""
    matching = [
        (key, turns.columns[name])
        for key in foreign_keys
        for name, referenced in zip(key.columns, key.referenced, strict=True)
        if referenced == identity.name and name in turns.columns and (requested is None or name == requested.name)
    ]
    if len({column.name for _, column in matching}) > 1:
        raise CannotAdopt(
            f"Several columns of {turns.name} refer to {conversations.name}: "
            f"{', '.join(sorted({column.name for _, column in matching}))}",
            remedy=Remedy.MAP_COLUMN,
            map="turns.conversation",
            table=turns.name,
        )
    if not matching:
        subject = f"{turns.name}.{requested.name} does not refer" if requested else f"No column of {turns.name} refers"
        remedy = f": `{_add_foreign_key(turns, requested, conversations, identity)}`" if requested else ""
        raise CannotAdopt(
            f"{subject} to {conversations.name}.{identity.name}; give it a foreign key, without which a "
            f"conversation could get new turns while it is being deleted{remedy}",
            table=turns.name,
        )
    return matching[0]


def _add_unique(table: UserTable, *columns: UserColumn) -> str:
    names = [quoted(column.name) for column in columns]
    not_null = "".join(f"ALTER COLUMN {name} SET NOT NULL, " for name in names)
    return f"ALTER TABLE {table.quoted_name} {not_null}ADD UNIQUE ({', '.join(names)})"


def _add_foreign_key(turns: UserTable, column: UserColumn, conversations: UserTable, identity: UserColumn) -> str:
    return (
        f"ALTER TABLE {turns.quoted_name} ADD FOREIGN KEY ({quoted(column.name)})"
        f" REFERENCES {conversations.quoted_name} ({quoted(identity.name)}) ON DELETE CASCADE"
    )


def _check_order(
    turns: UserTable, turn_columns: dict[str, UserColumn], order: UserColumn | None, parent: UserColumn
) -> None:
    """Check that turns are numbered or sorted, and identified; drop a `sequence` or `id` that is not used for that."""
    sequence = turn_columns.get("sequence")
    if order is not None and sequence is not None:
        del turn_columns["sequence"]
        sequence = None
    if order is not None and order.category not in _SORTABLE and order.base != "uuid":
        raise CannotAdopt(
            f"{turns.name}.{order.name} is of type {order.type}; turns can be sorted by a number, a time or a text",
            table=turns.name,
            column=order.name,
        )
    has_id = "id" in turn_columns and turns.is_unique(turn_columns["id"].name)
    if sequence is not None and turns.is_unique(parent.name, sequence.name):
        if not has_id:
            turn_columns.pop("id", None)  # an ordinary column: the number identifies a turn
        return
    if order is None and sequence is not None:
        raise CannotAdopt(
            f"{turns.name}.{sequence.name} may repeat a number within a conversation. Let each number occur "
            f"there once: `{_add_unique(turns, parent, sequence)}`",
            remedy=Remedy.MAP_COLUMN,
            map="turns.order",
            table=turns.name,
            column=sequence.name,
        )
    if order is None:
        raise CannotAdopt(
            f"No column says which turn comes first; map turns.sequence to a column of {turns.name} that numbers the "
            "turns of a conversation, or turns.order to one that grows",
            remedy=Remedy.MAP_COLUMN,
            map="turns.order",
            table=turns.name,
        )
    if not has_id:
        raise CannotAdopt(
            f"No column of {turns.name} that is NOT NULL and unique is mapped to the id of a turn",
            remedy=Remedy.MAP_COLUMN,
            map="turns.id",
            table=turns.name,
        )
