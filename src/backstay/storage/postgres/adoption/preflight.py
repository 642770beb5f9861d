"""Checks before an adoption: what prevents storing new conversations, and remarks for the user."""

from collections.abc import Iterator

from backstay.storage.postgres.adoption.casts import fills_null
from backstay.storage.postgres.adoption.catalog import UserColumn, UserTable
from backstay.storage.postgres.adoption.columns import is_sequence, new_turn_id
from backstay.storage.postgres.adoption.mapping import NUMBERS, TEXTS, TIMES, TableMapping
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection, query_value

_OPTIONAL = ("persona", "content", "metadata", "job_id", "item_id")
"""Built-in columns that are often null."""
_ROLES = ("user", "assistant")
_ID_CHARACTERS = 36
_ANY_LENGTH = ("owner", "topic", "persona", "content", "job_id", "item_id", "role")
"""Built-in columns that take text of any length."""


def find_obstacles(connection: Connection, mapping: TableMapping) -> list[str]:
    """Return the reasons why no new conversations can be stored; empty if they can."""
    return [
        *_unfilled_columns(mapping),
        *_missing_ids(mapping),
        *_unordered_turns(mapping),
        *_enum_texts(mapping),
        *_missing_roles(connection, mapping),
        *_short_columns(connection, mapping),
    ]


def owner_pattern(mapping: TableMapping) -> str | None:
    """Return the regular expression that an owner must match to fit the user column; None if every text fits."""
    column = mapping.conversation_columns.get("owner")
    if column is None or column.base in TEXTS:
        return None
    if column.base == "uuid":
        return "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    return "^(0|-?[1-9][0-9]{0,17})$"


def find_remarks(connection: Connection, mapping: TableMapping) -> Iterator[str]:
    """Yield sentences about the tables that the user should know."""
    turns, parent = mapping.turns, mapping.parent.name
    if parent not in turns.indexed:
        yield (
            f"{turns.name}.{parent} has no index, so finding the turns of a conversation reads the whole table: "
            f"`CREATE INDEX ON {turns.quoted_name} ({quoted(parent)})`"
        )
    if (owner := mapping.conversation_columns.get("owner")) is not None and not owner.required:
        query = render("user_tables/count_rows", table=mapping.conversations, null_column=owner.name)
        without_owner = query_value(connection, query)
        if without_owner:
            yield (
                f"Rows of {mapping.conversations.name} without {owner.name}: {without_owner:,}. They belong to no one, "
                "so they are neither shown nor deleted"
            )
    if owner is None:
        yield (
            f"Every row of {mapping.conversations.name} belongs to {mapping.default_owner!r}, as no column holds an "
            "owner"
        )
    yield from _shared_order(connection, mapping)
    lengths = [
        f"{table.name}.{column.name} {length:,}"
        for table, columns in ((mapping.conversations, mapping.conversation_columns), (turns, mapping.turn_columns))
        for name, column in columns.items()
        if name in _ANY_LENGTH and (length := _length(connection, table, column)) is not None
    ]
    if lengths:
        yield (
            f"Limits on characters: {', '.join(lengths)}. A new conversation that needs more is refused when it is "
            "stored"
        )


def _unfilled_columns(mapping: TableMapping) -> Iterator[str]:
    mapped = {column.name for column in mapping.conversation_columns.values()}
    yield from _without_default(mapping.conversations, mapped)
    mapped = {column.name for column in mapping.turn_columns.values()} | {mapping.parent.name}
    if mapping.order is not None and mapping.order.base in TIMES | NUMBERS:
        mapped.add(mapping.order.name)  # new turns get a value that keeps the order
    yield from _without_default(mapping.turns, mapped)
    for table, columns in (
        (mapping.conversations, mapping.conversation_columns),
        (mapping.turns, mapping.turn_columns),
    ):
        for name in _OPTIONAL:
            column = columns.get(name)
            if column is None or not column.required or column.default is not None:
                continue
            if not fills_null(name, column):
                yield f"{table.name}.{column.name} is NOT NULL, but a new conversation may have no {name}"


def _without_default(table: UserTable, mapped: set[str]) -> Iterator[str]:
    for column in table.columns.values():
        if column.name not in mapped and column.required and column.default is None:
            yield f"{table.name}.{column.name} is NOT NULL and has no default, so map it or give it a default"


def _missing_ids(mapping: TableMapping) -> Iterator[str]:
    identity = mapping.conversation_columns["id"]
    if identity.base in NUMBERS and identity.default is None:
        name = f"{mapping.conversations.name}.{identity.name}"
        yield f"{name} is a number without a default, and generated ids are no numbers; give it a sequence"
    if "id" in mapping.turn_columns and mapping.turn_columns["id"].required and new_turn_id(mapping) is None:
        name = f"{mapping.turns.name}.{mapping.turn_columns['id'].name}"
        yield f"{name} has no default, and no id of its type can be generated"


def _unordered_turns(mapping: TableMapping) -> Iterator[str]:
    order = mapping.order
    if order is None:
        return
    name = f"{mapping.turns.name}.{order.name}"
    if order.base not in TIMES | NUMBERS:
        yield f"{name} is of type {order.type}, by which new turns cannot be sorted"
    elif order.name in mapping.turn_identity or order.base in TIMES or is_sequence(order):
        return
    elif (order.name,) in mapping.turns.unique:
        yield f"{name} is unique, and no sequence is its default, so no value can be generated for a new turn"


def _enum_texts(mapping: TableMapping) -> Iterator[str]:
    topic, content = mapping.conversation_columns.get("topic"), mapping.turn_columns["content"]
    for table, name, column in ((mapping.conversations, "topic", topic), (mapping.turns, "content of a turn", content)):
        if column is not None and column.base == "enum":
            yield f"{table.name}.{column.name} allows only the values of {column.type}, but the {name} may be any text"


def _missing_roles(connection: Connection, mapping: TableMapping) -> Iterator[str]:
    role = mapping.turn_columns["role"]
    if role.base != "enum":
        return
    rows = connection.execute(render("catalog/enum_labels"), (mapping.turns.quoted_name, role.name))
    labels = {label for (label,) in rows}
    for name in _ROLES:
        if labels and name not in labels:
            yield f"{mapping.turns.name}.{role.name} does not allow {name!r}, the role of new turns"


def _short_columns(connection: Connection, mapping: TableMapping) -> Iterator[str]:
    checks = [(mapping.conversations, mapping.conversation_columns["id"], "a generated id", _ID_CHARACTERS)]
    if "id" in mapping.turn_columns and mapping.turn_columns["id"].default is None:
        checks.append((mapping.turns, mapping.turn_columns["id"], "a generated id", _ID_CHARACTERS))
    checks += [(mapping.turns, mapping.turn_columns["role"], repr(name), len(name)) for name in _ROLES]
    for table, column, value, needed in checks:
        length = _length(connection, table, column)
        if length is not None and length < needed:
            yield f"{table.name}.{column.name} holds {length} characters, but {value} has {needed}"


def _shared_order(connection: Connection, mapping: TableMapping) -> Iterator[str]:
    turns, parent, order = mapping.turns, mapping.parent.name, mapping.order
    if order is None or order.name in mapping.turn_identity or turns.is_unique(parent, order.name):
        return
    query = render("user_tables/count_shared_order", turns=turns, parent=parent, order=order.name)
    shared = query_value(connection, query)
    if shared:
        yield (
            f"Rows of {turns.name} that share {order.name} with another of their conversation: {shared:,}. They are "
            f"sorted by {', '.join(mapping.turn_identity)}"
        )


def _length(connection: Connection, table: UserTable, column: UserColumn) -> int | None:
    """Return how many characters a column holds; None if its type sets no limit."""
    if column.base not in ("varchar", "bpchar"):
        return None
    length: int | None = query_value(connection, render("catalog/column_length"), (table.quoted_name, column.name))
    return length
