"""Which of their columns is which of ours: as it was asked for, else by its name, else by the foreign key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.errors import CannotAdopt
from backstay.library.adoption import CONVERSATION_NAMES, TURN_NAMES, AdoptionRequest
from backstay.storage.postgres.adoption.catalog import TurnForeignKey, UserColumn, UserTable
from backstay.storage.postgres.queries import quoted

NUMBERS = frozenset({"int2", "int4", "int8"})
TIMES = frozenset({"timestamptz", "timestamp"})
JSON = frozenset({"json", "jsonb"})
TEXTS = frozenset({"text", "varchar", "bpchar", "citext", "enum"})
_IDS = frozenset({"text", "varchar", "uuid"}) | NUMBERS
_NAMES = frozenset({"text", "varchar"})

_FITTING = {
    "id": _IDS, "owner": _IDS, "topic": TEXTS, "persona": TEXTS, "content": TEXTS, "metadata": JSON,
    "job_id": _NAMES, "item_id": _NAMES, "created_at": TIMES, "updated_at": TIMES, "role": TEXTS, "sequence": NUMBERS,
}  # fmt: skip
_IN_WORDS = {
    _IDS: "text, uuid or a whole number", TEXTS: "text or an enum", JSON: "jsonb or json", _NAMES: "text",
    TIMES: "timestamptz or timestamp", NUMBERS: "a whole number",
}  # fmt: skip
_SORTED = ("N", "D", "S")
"""Categories of types of which each value is before or after each other, as anybody expects it."""


@dataclass(frozen=True, slots=True)
class TableMapping:
    """Two tables of theirs, and what in them is ours."""

    conversations: UserTable
    turns: UserTable
    of_conversations: Mapping[str, UserColumn]
    of_turns: Mapping[str, UserColumn]
    conversation: UserColumn
    """Of turns: whose it is."""
    key: TurnForeignKey
    """The foreign key that says so."""
    order: UserColumn | None
    """Of turns: which comes first, where none of their columns numbers them."""
    owner: str
    """Whose rows are where no column says it."""

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell a turn from others."""
        if "id" in self.of_turns:
            return (self.of_turns["id"].name,)
        return self.conversation.name, self.of_turns["sequence"].name

    @property
    def beside(self) -> list[str]:
        """What of a conversation has no column there."""
        return [name for name in CONVERSATION_NAMES if name not in self.of_conversations]

    @property
    def turns_beside(self) -> list[str]:
        return [name for name in ("id", "metadata") if name not in self.of_turns]


def map_columns(
    wanted: AdoptionRequest, conversations: UserTable, turns: UserTable, keys: Sequence[TurnForeignKey], owner: str
) -> TableMapping:  # fmt: skip
    """Say which is which. Raises CannotAdopt."""
    if conversations.place == turns.place:
        raise CannotAdopt(f"{turns.told} cannot hold both conversations and turns", table=turns.told)
    ours = _map(conversations, wanted.conversation_columns, CONVERSATION_NAMES, "")
    theirs = _map(turns, wanted.turn_columns, TURN_NAMES, "turns.")
    identity = _needed(ours, "id", conversations, "")
    if not conversations.is_unique(identity.name):
        raise CannotAdopt(
            f"{conversations.told}.{identity.name} is no id: name another column with --map id=…, or have it unique "
            f"and never null: `{_unique(conversations, identity)}`",
            table=conversations.told,
            column=identity.name,
        )
    key, conversation = _key(theirs.pop("conversation", None), conversations, turns, keys, identity)
    order = theirs.pop("order", None)
    for name in ("role", "content"):
        _needed(theirs, name, turns, "turns.")
    _check_order(turns, theirs, order, conversation)
    return TableMapping(conversations, turns, ours, theirs, conversation, key, order, owner)


def _map(table: UserTable, asked: Mapping[str, str], names: Sequence[str], of: str) -> dict[str, UserColumn]:
    found: dict[str, UserColumn] = {}
    for name, column in asked.items():
        if name not in names:
            raise CannotAdopt(
                f"There is nothing called {of}{name} to map; there are: {', '.join(of + one for one in names)}",
                column=name,
            )
        if column:
            found[name] = _column(table, column)
            _refuse_unfit(table, of + name, found[name], _FITTING.get(name))
    for name in [name for name in names if name not in asked]:
        same = table.columns.get(name)
        if same is not None and same.base in _FITTING.get(name, ()) and _sharing(found, name, same) is None:
            found[name] = same
    for name, one in found.items():
        if (other := _sharing(found, name, one)) is not None:
            raise CannotAdopt(f"{table.told}.{one.name} cannot be both {of}{name} and {of}{other}", table=table.told)
    return found


def _sharing(found: Mapping[str, UserColumn], name: str, column: UserColumn) -> str | None:
    """Return what else is in the column that cannot be there with `name`: an id may be the order, too."""
    return next(
        (
            other
            for other, one in found.items()
            if one.name == column.name and other != name and {name, other} != {"id", "order"}
        ),
        None,
    )


def _column(table: UserTable, name: str) -> UserColumn:
    if name in table.generated:
        raise CannotAdopt(
            f"{table.told}.{name} is computed from other columns, so nothing can be put into it; map one of those",
            table=table.told,
            column=name,
        )
    if name not in table.columns:
        raise CannotAdopt(
            f"{table.told} has no column {name!r}; it has: {', '.join(table.columns)}", table=table.told, column=name
        )
    return table.columns[name]


def _refuse_unfit(table: UserTable, name: str, column: UserColumn, fits: frozenset[str] | None) -> None:
    if fits is not None and column.base not in fits:
        raise CannotAdopt(
            f"{table.told}.{column.name} is of type {column.type}, and {name} has to be {_IN_WORDS[fits]}",
            table=table.told,
            column=column.name,
        )


def _needed(found: Mapping[str, UserColumn], name: str, table: UserTable, of: str) -> UserColumn:
    if name not in found:
        raise CannotAdopt(
            f"Say which column of {table.told} is the {name}: --map {of}{name}=…; it has: {', '.join(table.columns)}",
            table=table.told,
        )
    return found[name]


def _key(
    asked: UserColumn | None,
    conversations: UserTable,
    turns: UserTable,
    keys: Sequence[TurnForeignKey],
    identity: UserColumn,
) -> tuple[TurnForeignKey, UserColumn]:
    """Return the foreign key that says whose a turn is, and the column by which it does."""
    fit = [
        (key, turns.columns[name])
        for key in keys
        for name, end in zip(key.columns, key.ends, strict=True)
        if end == identity.name and name in turns.columns and (asked is None or name == asked.name)
    ]
    if len({column.name for _, column in fit}) > 1:
        raise CannotAdopt(
            f"Several columns of {turns.told} refer to {conversations.told}: "
            f"{', '.join(sorted({column.name for _, column in fit}))}; say which: --map turns.conversation=…",
            table=turns.told,
        )
    if not fit:
        what = f"{turns.told}.{asked.name}" if asked is not None else f"No column of {turns.told}"
        verb = "does not refer" if asked is not None else "refers"
        made = "" if asked is None else f": `{_foreign_key(turns, asked, conversations, identity)}`"
        raise CannotAdopt(
            f"{what} {verb} to {conversations.told}.{identity.name}; give it a foreign key, which alone keeps turns "
            f"from coming to a conversation that is being deleted{made}",
            table=turns.told,
        )
    return fit[0]


def _unique(table: UserTable, *columns: UserColumn) -> str:
    names = [quoted(column.name) for column in columns]
    required = "".join(f"ALTER COLUMN {name} SET NOT NULL, " for name in names)
    return f"ALTER TABLE {table.place} {required}ADD UNIQUE ({', '.join(names)})"


def _foreign_key(turns: UserTable, column: UserColumn, conversations: UserTable, identity: UserColumn) -> str:
    referred = f"{conversations.place} ({quoted(identity.name)})"
    return f"ALTER TABLE {turns.place} ADD FOREIGN KEY ({quoted(column.name)}) REFERENCES {referred} ON DELETE CASCADE"


def _check_order(
    turns: UserTable, theirs: dict[str, UserColumn], order: UserColumn | None, conversation: UserColumn
) -> None:
    sequence = theirs.get("sequence")
    if order is not None and sequence is not None:
        del theirs["sequence"]
        sequence = None
    if order is not None and order.category not in _SORTED and order.base != "uuid":
        raise CannotAdopt(
            f"{turns.told}.{order.name} is of type {order.type}; turns are put in order by a number, a time or a text",
            table=turns.told,
            column=order.name,
        )
    has_id = "id" in theirs and turns.is_unique(theirs["id"].name)
    if sequence is not None and turns.is_unique(conversation.name, sequence.name):
        if not has_id:
            theirs.pop("id", None)  # an ordinary column: what tells turns apart is their number
        return
    if order is None and sequence is not None:
        raise CannotAdopt(
            f"{turns.told}.{sequence.name} does not number the turns of a conversation: say --map "
            f"turns.order={sequence.name}, or have each number there once: `{_unique(turns, conversation, sequence)}`",
            table=turns.told,
            column=sequence.name,
        )
    if order is None:
        raise CannotAdopt(
            f"Say which turn comes first: --map turns.order=… with a column of {turns.told} that grows, or "
            "turns.sequence=… with one that numbers them in their conversation",
            table=turns.told,
        )
    if not has_id:
        raise CannotAdopt(
            f"{turns.told} has no unique id of a turn; say which column is one, with NOT NULL and a unique index: "
            "--map turns.id=…",
            table=turns.told,
        )
