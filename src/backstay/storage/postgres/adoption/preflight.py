"""What does not work with tables of theirs, and why; what else is worth knowing."""

from collections.abc import Iterator

from backstay.storage.postgres.adoption.catalog import UserColumn, UserTable
from backstay.storage.postgres.adoption.columns import counts_up, new_turn_id
from backstay.storage.postgres.adoption.mapping import NUMBERS, TEXTS, TIMES, TableMapping
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection

_SELDOM = ("persona", "content", "metadata", "job_id", "item_id")
"""What of ours is often not there."""
_LABELS = """
SELECT enumlabel::text FROM pg_enum JOIN pg_attribute ON atttypid = enumtypid
 WHERE attrelid = %s::regclass AND attname = %s
"""
_ROLES = ("user", "assistant")
_LENGTH = """
WITH RECURSIVE under (type, modifier) AS (
    SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s
     UNION ALL
    SELECT typbasetype, typtypmod FROM under JOIN pg_type ON pg_type.oid = under.type WHERE typtype = 'd')
SELECT min(modifier) - 4 FROM under WHERE modifier > 0
"""
_OF_AN_ID = 36
_OF_ANY_LENGTH = ("owner", "topic", "persona", "content", "job_id", "item_id", "role")
"""What of ours is as long as somebody makes it."""


def find_obstacle(connection: Connection, mapped: TableMapping) -> str | None:
    """Say what keeps new conversations from being stored; None when nothing does."""
    return (
        "; ".join(
            [
                *_unfilled(mapped),
                *_unnamed(mapped),
                *_unordered(mapped),
                *_narrow(mapped),
                *_foreign_roles(connection, mapped),
                *_short(connection, mapped),
            ]
        )
        or None
    )


def owner_pattern(mapped: TableMapping) -> str | None:
    """Return what an owner has to look like to be put into their column; None where any will do."""
    column = mapped.of_conversations.get("owner")
    if column is None or column.base in TEXTS:
        return None
    if column.base == "uuid":
        return "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    return r"^-?(0|[1-9]\d{0,17})$"


def remarks(connection: Connection, mapped: TableMapping) -> Iterator[str]:
    """Yield what else is worth knowing."""
    turns, whose = mapped.turns, mapped.conversation.name
    if whose not in turns.indexed:
        yield (
            f"{turns.told}.{whose} has no index, so each conversation is looked for in the whole table: "
            f"`CREATE INDEX ON {turns.place} ({quoted(whose)})`"
        )
    if (owner := mapped.of_conversations.get("owner")) is not None and not owner.required:
        row = connection.execute(
            f"SELECT count(*) FROM {mapped.conversations.place} WHERE {quoted(owner.name)} IS NULL"
        ).fetchone()
        if row is not None and row[0]:
            yield (
                f"Rows of {mapped.conversations.told} without {owner.name}: {row[0]:,}. They are nobody's, so they are "
                "neither shown nor deleted"
            )
    if owner is None:
        yield f"Every row of {mapped.conversations.told} is that of {mapped.owner!r}, as no column says whose it is"
    yield from _tied(connection, mapped)
    lengths = [
        f"{table.told}.{column.name} {length:,}"
        for table, columns in ((mapped.conversations, mapped.of_conversations), (turns, mapped.of_turns))
        for name, column in columns.items()
        if name in _OF_ANY_LENGTH and (length := _length(connection, table, column)) is not None
    ]
    if lengths:
        yield (
            f"Room for characters: {', '.join(lengths)}. A new conversation that needs more is refused when it is "
            "stored"
        )


def _unfilled(mapped: TableMapping) -> Iterator[str]:
    ours = {column.name for column in mapped.of_conversations.values()}
    yield from _empty(mapped.conversations, ours)
    ours = {column.name for column in mapped.of_turns.values()} | {mapped.conversation.name}
    if mapped.order is not None and mapped.order.base in TIMES | NUMBERS:
        ours.add(mapped.order.name)  # it is set so that the order holds
    yield from _empty(mapped.turns, ours)
    for table, columns in ((mapped.conversations, mapped.of_conversations), (mapped.turns, mapped.of_turns)):
        for name in _SELDOM:
            column = columns.get(name)
            if column is not None and column.required and not _has_stand_in(name, column):
                yield f"{table.told}.{column.name} holds no null, and a new conversation may have no {name}"


def _has_stand_in(name: str, column: UserColumn) -> bool:
    return column.default is not None or name == "metadata" or column.base in TEXTS - {"enum"}


def _empty(table: UserTable, ours: set[str]) -> Iterator[str]:
    for column in table.columns.values():
        if column.name not in ours and column.required and column.default is None:
            yield f"{table.told}.{column.name} holds no null and has no default: map it, or give it a default"


def _unnamed(mapped: TableMapping) -> Iterator[str]:
    identity = mapped.of_conversations["id"]
    if identity.base in NUMBERS and identity.default is None:
        yield f"{mapped.conversations.told}.{identity.name} has no default, and an id of ours is no number"
    if "id" in mapped.of_turns and mapped.of_turns["id"].required and new_turn_id(mapped) is None:
        yield f"{mapped.turns.told}.{mapped.of_turns['id'].name} has no default, and nothing else makes such an id"


def _unordered(mapped: TableMapping) -> Iterator[str]:
    order = mapped.order
    if order is None:
        return
    told = f"{mapped.turns.told}.{order.name}"
    if order.base not in TIMES | NUMBERS:
        yield f"{told} is of type {order.type}, which new turns cannot be put in order by"
    elif order.name in mapped.identity or order.base in TIMES or counts_up(order):
        return
    elif (order.name,) in mapped.turns.unique:
        yield f"{told} is the same in no two turns, and no sequence is its default, so nothing makes one for a new turn"


def _narrow(mapped: TableMapping) -> Iterator[str]:
    topic, content = mapped.of_conversations.get("topic"), mapped.of_turns["content"]
    for table, name, column in ((mapped.conversations, "topic", topic), (mapped.turns, "content of a turn", content)):
        if column is not None and column.base == "enum":
            yield f"{table.told}.{column.name} knows only the values of {column.type}, and the {name} is any text"


def _foreign_roles(connection: Connection, mapped: TableMapping) -> Iterator[str]:
    role = mapped.of_turns["role"]
    if role.base != "enum":
        return
    labels = {label for (label,) in connection.execute(_LABELS, (mapped.turns.place, role.name)).fetchall()}
    for name in _ROLES:
        if labels and name not in labels:
            yield f"{mapped.turns.told}.{role.name} knows no {name!r}, as new turns have it"


def _short(connection: Connection, mapped: TableMapping) -> Iterator[str]:
    told = [(mapped.conversations, mapped.of_conversations["id"], "an id of ours", _OF_AN_ID)]
    if "id" in mapped.of_turns and mapped.of_turns["id"].default is None:
        told.append((mapped.turns, mapped.of_turns["id"], "an id of ours", _OF_AN_ID))
    told += [(mapped.turns, mapped.of_turns["role"], repr(name), len(name)) for name in _ROLES]
    for table, column, what, needed in told:
        length = _length(connection, table, column)
        if length is not None and length < needed:
            yield f"{table.told}.{column.name} holds {length} characters, and {what} has {needed}"


def _tied(connection: Connection, mapped: TableMapping) -> Iterator[str]:
    turns, whose, order = mapped.turns, mapped.conversation.name, mapped.order
    if order is None or order.name in mapped.identity or turns.is_unique(whose, order.name):
        return
    row = connection.execute(
        f"SELECT coalesce(sum(n), 0)::bigint FROM (SELECT count(*) FROM {turns.place} AS theirs"
        f" WHERE theirs.{quoted(whose)} IS NOT NULL GROUP BY theirs.{quoted(whose)}, theirs.{quoted(order.name)}"
        " HAVING count(*) > 1) AS tied (n)"
    ).fetchone()
    if row is not None and row[0]:
        yield (
            f"Rows of {turns.told} that share {order.name} with another of their conversation: {row[0]:,}. Their order "
            f"is by {', '.join(mapped.identity)}"
        )


def _length(connection: Connection, table: UserTable, column: UserColumn) -> int | None:
    """Return how many characters a column holds; None where it is no matter of characters, or holds any number."""
    if column.base not in ("varchar", "bpchar"):
        return None
    row = connection.execute(_LENGTH, (table.place, column.name)).fetchone()
    return None if row is None else row[0]
