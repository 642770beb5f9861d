"""The columns of a view over a table of theirs: what each shows, and what becomes of what it is given."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.library.adoption import CONVERSATION_NAMES
from backstay.library.record import RELATED, TURNS
from backstay.storage.postgres.adoption.casts import fit, kept_name
from backstay.storage.postgres.adoption.catalog import UserColumn, UserTable
from backstay.storage.postgres.adoption.mapping import TIMES, TableMapping
from backstay.storage.postgres.queries import quoted

OF_CONVERSATIONS = ("key", "owner", "id", *(name for name in CONVERSATION_NAMES if name not in ("id", "owner")))
OF_TURNS = ("conversation_key", "sequence", "owner", "id", "role", "content", "metadata")
_THEIR_ROW = ("tableoid", "ctid")
_MICROSECONDS = 6
"""Digits of a second that a time has, where its type does not keep fewer."""
_MADE_IDS = {"uuid": "pg_catalog.gen_random_uuid()", "text": "pg_catalog.gen_random_uuid()::text"}


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view."""

    name: str
    shown: str
    to: str | None = None
    """The column of theirs that it is put into."""
    stored: str | None = None
    default: str | None = None
    is_plain: bool = False
    """It is theirs as it is."""
    is_raw: bool = False
    """It shows again, in their type, what another one shows in ours."""


@dataclass(frozen=True, slots=True)
class View:
    """A view over one table of theirs."""

    columns: Sequence[ViewColumn]
    names: Mapping[str, str]
    """By their names, those here."""
    raw: Mapping[str, str]
    """By names here, those of the columns that show the same in their type."""

    @property
    def written(self) -> list[ViewColumn]:
        return [column for column in self.columns if column.to is not None]


def of_conversations(mapped: TableMapping) -> View:
    """Return the columns of `conversations`: from `beside`, and from `theirs`."""
    table, columns = mapped.conversations, [ViewColumn("key", "beside.key")]
    for name in OF_CONVERSATIONS[1:]:
        column = mapped.of_conversations.get(name)
        if column is None or name in ("id", "owner"):
            columns.append(ViewColumn(name, f"beside.{name}", *_put(name, column)))
        else:
            columns += _fitted(name, column, needed=name in ("created_at", "updated_at"))
    return _view(table, columns, mapped.of_conversations, set())


def of_turns(mapped: TableMapping, schema: str) -> View:
    """Return the columns of `turns`; whose a turn is stands in `beside`, too, as its key and its owner."""
    table, order = mapped.turns, mapped.order
    columns = [ViewColumn("conversation_key", "beside.key"), ViewColumn("sequence", _sequence(mapped))]
    if "sequence" in mapped.of_turns:
        numbered = mapped.of_turns["sequence"]
        columns[1] = ViewColumn("sequence", f"theirs.{quoted(numbered.name)}::integer", numbered.name, "NEW.sequence")
    columns.append(ViewColumn("owner", "beside.owner"))
    for name in OF_TURNS[3:]:
        column = mapped.of_turns.get(name)
        if column is None:
            columns.append(ViewColumn(name, _beside_turn(mapped, schema, name)))
        elif name == "id":
            made = new_turn_id(mapped)
            stored = f"NEW.id::{column.cast}"
            columns.append(
                ViewColumn(
                    name, f"theirs.{quoted(column.name)}::text", column.name,
                    stored if made is None else f"coalesce({stored}, {made})",
                )
            )  # fmt: skip
        else:
            columns += _fitted(name, column, needed=name in ("role", "content"), of_turns=True)
    mapped_here = {**mapped.of_turns, "conversation_key": mapped.conversation}
    # Whose a turn is also stands under their name: other keys of theirs may refer to it.
    return _view(table, columns, mapped_here, {mapped.conversation.name}, order=order)


def new_turn_id(mapped: TableMapping) -> str | None:
    """Return what makes an id for a turn that has none."""
    column = mapped.of_turns.get("id")
    if column is None:
        return None
    return column.default or _MADE_IDS.get("text" if column.base == "varchar" else column.base)


def _put(name: str, column: UserColumn | None) -> tuple[str | None, str | None]:
    return (None, None) if column is None else (column.name, f"NEW.{name}::{column.cast}")


def _fitted(name: str, column: UserColumn, *, needed: bool, of_turns: bool = False) -> list[ViewColumn]:
    how = fit(name, column, alias="theirs", needed=needed, of_turns=of_turns)
    shown = [ViewColumn(name, how.shown, column.name, how.stored)]
    return shown if how.kept is None else [*shown, ViewColumn(kept_name(name), how.kept)]


def _sequence(mapped: TableMapping) -> str:
    """Return the number of a turn: how many of its conversation are not behind it."""
    if mapped.order is None:
        return ""
    conversation, place = quoted(mapped.conversation.name), quoted(mapped.order.name)
    told = quoted(mapped.of_turns["id"].name)
    if place == told:
        before = f"other.{told} <= theirs.{told}"
    elif mapped.order.required:
        before = f"(other.{place}, other.{told}) <= (theirs.{place}, theirs.{told})"
    else:
        before = (
            f"CASE WHEN other.{place} IS NOT DISTINCT FROM theirs.{place} THEN other.{told} <= theirs.{told}"
            f" WHEN other.{place} IS NULL THEN FALSE WHEN theirs.{place} IS NULL THEN TRUE"
            f" ELSE other.{place} < theirs.{place} END"
        )
    return (
        f"(SELECT pg_catalog.count(*)::integer FROM {mapped.turns.place} AS other"
        f" WHERE other.{conversation} = theirs.{conversation} AND {before})"
    )


def _beside_turn(mapped: TableMapping, schema: str, name: str) -> str:
    same = " AND ".join(f"more.{quoted(one)} = theirs.{quoted(one)}" for one in mapped.identity)
    return f"(SELECT more.backstay_{name} FROM {schema}.adopted_turns AS more WHERE {same})"


def _view(
    table: UserTable,
    columns: list[ViewColumn],
    mapped: Mapping[str, UserColumn],
    shown_too: set[str],
    *,
    order: UserColumn | None = None,
) -> View:
    ours = {column.name: name for name, column in mapped.items()}
    names = {column: name for column, name in ours.items() if column not in shown_too}
    taken = {column.name for column in columns} | {*_THEIR_ROW, TURNS, RELATED}
    columns = list(columns)
    for column in table.columns.values():
        if column.name in names:
            continue
        name = _free(column.name, taken)
        columns.append(_plain(name, column, is_order=order is not None and order.name == column.name))
        if order is not None and order.name == column.name and not column.required:
            columns.append(
                ViewColumn(kept_name("order"), f"CASE WHEN theirs.{quoted(column.name)} IS NULL THEN TRUE END")
            )
        names[column.name] = name
    raw = {}
    beside = {column.name for column in columns if column.shown.startswith("beside.")}
    for their_name, name in names.items():
        # What is shown from beside is sorted by its bytes. By that no index of theirs would be found.
        if name in mapped and (table.columns[their_name].type != "text" or name in beside):
            raw[name] = _free(f"their_{their_name}", taken)
            columns.append(ViewColumn(raw[name], f"theirs.{quoted(their_name)}", is_raw=True))
    columns += [ViewColumn(name, f"theirs.{name}", is_raw=True) for name in _THEIR_ROW]
    return View(columns, names, raw)


def _plain(name: str, column: UserColumn, *, is_order: bool) -> ViewColumn:
    given, default = f"NEW.{quoted(name)}", column.default
    if is_order and (place := _next_place(column)) is not None:
        is_told = "" if column.required else f" AND NEW.{quoted(kept_name('order'))} IS NULL"
        given, default = f"CASE WHEN {given} IS NULL{is_told} THEN {place} ELSE {given} END", None
    return ViewColumn(name, f"theirs.{quoted(column.name)}", column.name, given, default, is_plain=True)


def _next_place(column: UserColumn) -> str | None:
    """Return what puts a new turn behind those before it; None where a sequence of theirs does."""
    if column.base in TIMES:
        moment = f"pg_catalog.now() + NEW.sequence * interval '{_step(column)} microseconds'"
        return moment if column.base == "timestamptz" else f"({moment}) AT TIME ZONE 'UTC'"
    return "NEW.sequence" if column.category == "N" and not counts_up(column) else None


def counts_up(column: UserColumn) -> bool:
    """Whether the default is the next number of a sequence. Of any other nobody knows that it grows."""
    return column.default is not None and re.match(r"\(*nextval\(", column.default) is not None


def _step(column: UserColumn) -> int:
    """Return the least number of microseconds after which the column holds another time."""
    kept = re.fullmatch(r"timestamp(?:\((\d)\))? with(?:out)? time zone", column.type)
    # A domain does not say how many digits it keeps; a second is told apart by all.
    digits = 0 if kept is None else int(kept[1] or _MICROSECONDS)
    return int(10 ** (_MICROSECONDS - digits))


def _free(name: str, taken: set[str]) -> str:
    """Return the name, or one like it that nothing else has."""
    found = name
    while found in taken:
        found = f"their_{found}"
    taken.add(found)
    return found
