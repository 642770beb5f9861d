"""Columns of the views over the user tables: the expression that each shows, and the one that it stores."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backstay.library.adoption_request import CONVERSATION_NAMES
from backstay.library.record import RELATED, TURNS
from backstay.storage.postgres.adoption.casts import cast_for, original_name
from backstay.storage.postgres.adoption.catalog import UserColumn, UserTable
from backstay.storage.postgres.adoption.mapping import TIMES, TableMapping
from backstay.storage.postgres.queries import quoted

_CONVERSATION_COLUMNS = ("key", "owner", "id", *(name for name in CONVERSATION_NAMES if name not in ("id", "owner")))
_TURN_COLUMNS = ("conversation_key", "sequence", "owner", "id", "role", "content", "metadata")
_ROW_LOCATION = ("tableoid", "ctid")
_TIME_DIGITS = 6
"""Fractional digits of a second in a time, unless its type has fewer."""
_GENERATED_IDS = {"uuid": "pg_catalog.gen_random_uuid()", "text": "pg_catalog.gen_random_uuid()::text"}


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view."""

    name: str
    expression: str
    user_column: str | None = None
    """The user column that the expression `stored` is written to."""
    stored: str | None = None
    default: str | None = None
    is_plain: bool = False
    """Whether it shows a user column as it is."""


@dataclass(frozen=True, slots=True)
class View:
    """A view over one user table."""

    columns: Sequence[ViewColumn]
    names: Mapping[str, str]
    """The name in the view of each user column."""
    raw: Mapping[str, str]
    """For a name in the view, the name of the column that shows the same value in the user column's type."""
    assignments: Sequence[tuple[str, str]]
    """User columns that an UPDATE sets, each with the expression for its new value."""

    @property
    def originals(self) -> Mapping[str, str]:
        """For a name in the view, the name of the column that holds the values that it cannot show."""
        names = {column.name for column in self.columns if column.user_column is None}
        pairs = ((column.name, original_name(column.name)) for column in self.written if not column.is_plain)
        return {name: original for name, original in pairs if original in names}

    @property
    def written(self) -> list[ViewColumn]:
        return [column for column in self.columns if column.user_column is not None]

    def raw_name(self, user_column: str) -> str:
        """Return the column of the view that shows a user column in its own type."""
        return self.raw.get(self.names[user_column], self.names[user_column])


def conversations_view(mapping: TableMapping) -> View:
    """Return the view `conversations`, with columns from `side`, the side table, and from `app`, the user table."""
    columns = [ViewColumn("key", "side.key")]
    for name in _CONVERSATION_COLUMNS[1:]:
        column = mapping.conversation_columns.get(name)
        if column is None:
            columns.append(ViewColumn(name, f"side.{name}"))
        elif name in ("id", "owner"):
            columns.append(ViewColumn(name, f"side.{name}", column.name, f"NEW.{name}::{column.cast}"))
        else:
            columns += _convert(name, column, required=name in ("created_at", "updated_at"))
    return _build_view(mapping.conversations, columns, mapping.conversation_columns)


def turns_view(mapping: TableMapping, schema: str) -> View:
    """Return the view `turns`; the conversation's key and owner come from `side`."""
    if (sequence := mapping.turn_columns.get("sequence")) is not None:
        sequence_column = ViewColumn("sequence", f"app.{quoted(sequence.name)}::integer", sequence.name, "NEW.sequence")
    else:
        sequence_column = ViewColumn("sequence", _sequence(mapping))
    columns = [ViewColumn("conversation_key", "side.key"), sequence_column, ViewColumn("owner", "side.owner")]
    for name in _TURN_COLUMNS[3:]:
        column = mapping.turn_columns.get(name)
        if column is None:
            columns.append(ViewColumn(name, _side_turn_value(mapping, schema, name)))
        elif name == "id":
            generated, stored = new_turn_id(mapping), f"NEW.id::{column.cast}"
            stored = stored if generated is None else f"coalesce({stored}, {generated})"
            columns.append(ViewColumn(name, f"app.{quoted(column.name)}::text", column.name, stored))
        else:
            columns += _convert(name, column, required=name in ("role", "content"), of_turns=True)
    mapped = {**mapping.turn_columns, "conversation_key": mapping.parent}
    return _build_view(mapping.turns, columns, mapped, order=mapping.order, parent=mapping.parent.name)


def new_turn_id(mapping: TableMapping) -> str | None:
    """Return the expression that generates an id for a turn without one."""
    column = mapping.turn_columns.get("id")
    if column is None:
        return None
    return column.default or _GENERATED_IDS.get("text" if column.base == "varchar" else column.base)


def _convert(name: str, column: UserColumn, *, required: bool, of_turns: bool = False) -> list[ViewColumn]:
    cast = cast_for(name, column, never_null=required, of_turns=of_turns)
    converted = [ViewColumn(name, cast.read, column.name, cast.write)]
    return converted if cast.original is None else [*converted, ViewColumn(original_name(name), cast.original)]


def _sequence(mapping: TableMapping) -> str:
    """Return the expression for a turn's number: how many turns of its conversation do not come after it."""
    if mapping.order is None:
        return ""
    parent, order, identity = (
        quoted(column.name) for column in (mapping.parent, mapping.order, mapping.turn_columns["id"])
    )
    if order == identity:
        is_before = f"other.{identity} <= app.{identity}"
    elif mapping.order.required:
        is_before = f"(other.{order}, other.{identity}) <= (app.{order}, app.{identity})"
    else:
        is_before = (
            f"CASE WHEN other.{order} IS NOT DISTINCT FROM app.{order} THEN other.{identity} <= app.{identity}"
            f" WHEN other.{order} IS NULL THEN FALSE WHEN app.{order} IS NULL THEN TRUE"
            f" ELSE other.{order} < app.{order} END"
        )
    return (
        f"(SELECT pg_catalog.count(*)::integer FROM {mapping.turns.quoted_name} AS other"
        f" WHERE other.{parent} = app.{parent} AND {is_before})"
    )


def _side_turn_value(mapping: TableMapping, schema: str, name: str) -> str:
    is_same = " AND ".join(f"more.{quoted(column)} = app.{quoted(column)}" for column in mapping.turn_identity)
    return f"(SELECT more.backstay_{name} FROM {schema}.adopted_turns AS more WHERE {is_same})"


def _build_view(
    table: UserTable,
    columns: list[ViewColumn],
    mapped: Mapping[str, UserColumn],
    *,
    order: UserColumn | None = None,
    parent: str | None = None,
) -> View:
    """Return a view with the columns, then the other user columns, and then the mapped ones in their own types.

    The foreign key `parent` also keeps its own name, since other foreign keys of the app may use it.
    """
    names = {column.name: name for name, column in mapped.items() if column.name != parent}
    used_names = {column.name for column in columns} | {*_ROW_LOCATION, TURNS, RELATED, original_name("order")}
    for column in table.columns.values():
        if column.name in names:
            continue
        name, is_order = _unused_name(column.name, used_names), order is not None and order.name == column.name
        columns.append(_plain_column(name, column, is_order=is_order))
        if is_order and not column.required:
            columns.append(
                ViewColumn(original_name("order"), f"CASE WHEN app.{quoted(column.name)} IS NULL THEN TRUE END")
            )
        names[column.name] = name
    raw = {}
    from_side = {column.name for column in columns if column.expression.startswith("side.")}
    for user_name, name in names.items():
        # Columns of the side table have collation "C", with which no index of the user table would be used.
        if name in mapped and (table.columns[user_name].type != "text" or name in from_side):
            raw[name] = _unused_name(f"app_{user_name}", used_names)
            columns.append(ViewColumn(raw[name], f"app.{quoted(user_name)}"))
    columns += [ViewColumn(name, f"app.{name}") for name in _ROW_LOCATION]
    fixed = {column.name for column in table.columns.values() if column.is_always} | {parent}
    return View(columns, names, raw, list(_assignments(columns, fixed)))


def _assignments(columns: Sequence[ViewColumn], fixed: set[str | None]) -> Iterator[tuple[str, str]]:
    """Yield what an UPDATE sets. A converted column is set only if the view's value has changed."""
    originals = {column.name for column in columns if column.user_column is None}
    for column in columns:
        if column.user_column is None or column.user_column in fixed:
            continue
        compared = [
            quoted(name)
            for name in (column.name, original_name(column.name))
            if name == column.name or name in originals
        ]
        is_changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in compared)
        converted = f"CASE WHEN {is_changed} THEN {column.stored} ELSE app.{quoted(column.user_column)} END"
        yield column.user_column, f"NEW.{quoted(column.name)}" if column.is_plain else converted


def _plain_column(name: str, column: UserColumn, *, is_order: bool) -> ViewColumn:
    stored, default = f"NEW.{quoted(name)}", column.default
    if is_order and (next_value := _next_order(column)) is not None:
        is_unset = "" if column.required else f" AND NEW.{quoted(original_name('order'))} IS NULL"
        stored, default = f"CASE WHEN {stored} IS NULL{is_unset} THEN {next_value} ELSE {stored} END", None
    return ViewColumn(name, f"app.{quoted(column.name)}", column.name, stored, default, is_plain=True)


def _next_order(column: UserColumn) -> str | None:
    """Return the expression that puts a new turn after the existing ones; None if a sequence of the app does so."""
    if column.base in TIMES:
        time = f"pg_catalog.now() + NEW.sequence * interval '{_time_step(column)} microseconds'"
        return time if column.base == "timestamptz" else f"({time}) AT TIME ZONE 'UTC'"
    return "NEW.sequence" if column.category == "N" and not is_sequence(column) else None


def is_sequence(column: UserColumn) -> bool:
    """Return whether the default is the next number of a sequence; no other default is known to grow."""
    return column.default is not None and re.match(r"\(*nextval\(", column.default) is not None


def _time_step(column: UserColumn) -> int:
    """Return the smallest difference between two times in the column, in microseconds."""
    match = re.fullmatch(r"timestamp(?:\((\d)\))? with(?:out)? time zone", column.type)
    # How many digits a domain has is unknown here, but each distinguishes whole seconds.
    digits = 0 if match is None else int(match[1] or _TIME_DIGITS)
    return int(10 ** (_TIME_DIGITS - digits))


def _unused_name(name: str, used_names: set[str]) -> str:
    """Return the name, prefixed until no other column has it, and add it to the used ones."""
    free = name
    while free in used_names:
        free = f"app_{free}"
    used_names.add(free)
    return free
