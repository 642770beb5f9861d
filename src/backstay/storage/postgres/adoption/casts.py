"""SQL expressions that convert between a user column and the built-in column that it stands for.

A value that the built-in column cannot show, such as an infinite time, is shown in a second column of the view as text,
so that an update of the view stores it again.
"""

from dataclasses import dataclass

from backstay.storage.postgres.adoption.catalog import UserColumn
from backstay.storage.postgres.adoption.mapping import JSON, TEXTS, TIMES
from backstay.storage.postgres.queries import quoted

_TIME_FORMAT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_EPOCH = "'1970-01-01T00:00:00.000000Z'"
NOW = f"pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', {_TIME_FORMAT})"
# Of conversations; turns are not sorted by these.
SORTED_BY_BYTES = frozenset({"owner", "id", "persona", "job_id", "item_id", "created_at", "updated_at"})
_MAY_BE_EMPTY = frozenset({"topic", "persona", "content"})


@dataclass(frozen=True, slots=True)
class Cast:
    """The expressions for one user column that stands for a built-in one."""

    read: str
    """What the view shows."""
    original: str | None
    """The text of a value that the view cannot show, after 'is ', or 'null'; NULL for others. None if it shows all."""
    write: str
    """What is stored for the value that the view receives."""


def original_name(name: str) -> str:
    """Return the name of the view column that holds the original values of another column."""
    return f"backstay_{name}"


def cast_for(built_in_name: str, column: UserColumn, *, never_null: bool, of_turns: bool = False) -> Cast:
    """Return the expressions for a user column; with `never_null` the view shows no null."""
    raw, received = f"app.{quoted(column.name)}", f"NEW.{quoted(built_in_name)}"
    read, condition = _read(raw, column)
    collation = ' COLLATE "C"' if built_in_name in SORTED_BY_BYTES and not of_turns else ""
    conditions = [condition] if condition else []
    if never_null and not column.required:
        conditions.append(f"{raw} IS NOT NULL")
    original = None
    if conditions:
        readable = " AND ".join(conditions)
        read = f"CASE WHEN {readable} THEN {read} END"
        if never_null:
            empty = _EPOCH if built_in_name.endswith("_at") else "''"
            read = f"coalesce({read}, {empty})"
        null = "" if column.required else f" WHEN {raw} IS NULL THEN 'null'"
        original = f"CASE WHEN {readable} THEN NULL{null} ELSE 'is ' || {raw}::text END"
    write = _with_default(built_in_name, _write(received, column), column)
    if original is not None:
        restored = f"NEW.{quoted(original_name(built_in_name))}"
        write = (
            f"CASE WHEN {restored} IS NULL THEN {write} WHEN {restored} = 'null' THEN NULL"
            f" ELSE pg_catalog.substr({restored}, 4)::{column.cast} END"
        )
    return Cast(f"({read}){collation}" if collation else read, original, write)


def _read(raw: str, column: UserColumn) -> tuple[str, str | None]:
    """Return the expression in the built-in type, and the condition under which the value can be read, if any."""
    if column.base in TIMES:
        time = f"{raw} AT TIME ZONE 'UTC'" if column.base == "timestamptz" else raw
        zone = "+00" if column.base == "timestamptz" else ""
        return (
            f"pg_catalog.to_char({time}, {_TIME_FORMAT})",
            f"{raw} >= '0001-01-02{zone}' AND {raw} < '9999-12-31{zone}'",
        )
    if column.base in JSON:
        return f"{raw}::text", f"coalesce(pg_catalog.{column.base}_typeof({raw}) = 'object', TRUE)"
    return (raw if column.type == "text" else f"{raw}::text"), None


def _write(received: str, column: UserColumn) -> str:
    if column.base == "timestamp":
        return f"({received}::timestamp with time zone AT TIME ZONE 'UTC')::{column.cast}"
    return f"{received}::{column.cast}"


def _with_default(name: str, write: str, column: UserColumn) -> str:
    """Replace null by the column's default, or by an empty value, where the column takes no null."""
    if not column.required:
        return write
    if column.default is not None:
        return f"coalesce({write}, {column.default})"
    if fills_null(name, column):
        return f"coalesce({write}, '{'{}' if name == 'metadata' else ''}')"
    return write


def fills_null(name: str, column: UserColumn) -> bool:
    """Return whether an empty value can be stored in a column that takes no null and has no default."""
    return name == "metadata" or (name in _MAY_BE_EMPTY and column.base in TEXTS - {"enum"})
