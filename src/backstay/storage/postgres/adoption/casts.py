"""SQL expressions that convert between a user column and the built-in column that it stands for."""

from dataclasses import dataclass

from backstay.storage.postgres.adoption.catalog import UserColumn
from backstay.storage.postgres.adoption.mapping import JSON, TEXTS, TIMES
from backstay.storage.postgres.queries import quoted

_TIME_FORMAT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_EPOCH = "'1970-01-01T00:00:00.000000Z'"
NOW = f"pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', {_TIME_FORMAT})"
SORTED_BY_BYTES = frozenset({"owner", "id", "persona", "job_id", "item_id", "created_at", "updated_at"})
_MAY_BE_EMPTY = frozenset({"topic", "persona", "content"})


@dataclass(frozen=True, slots=True)
class Cast:
    """The expressions for one user column that stands for a built-in one."""

    read: str
    """What the view shows."""
    original: str | None
    """The text of a value that the view cannot show; null for every other value. None if the view shows all values."""
    write: str
    """What is stored for the value that the view receives."""


def original_name(name: str) -> str:
    """Return the name of the view column that holds the original values of another column."""
    return f"backstay_{name}"


def cast_for(name: str, column: UserColumn, *, required: bool, of_turns: bool = False) -> Cast:
    """Return the expressions for a user column; with `required` the view shows no null."""
    raw, received = f"app.{quoted(column.name)}", f"NEW.{quoted(name)}"
    read, condition = _read(raw, column)
    collation = ' COLLATE "C"' if name in SORTED_BY_BYTES and not of_turns else ""
    conditions = [condition] if condition else []
    if required and not column.required:
        conditions.append(f"{raw} IS NOT NULL")
    original = None
    if conditions:
        is_readable = " AND ".join(conditions)
        read = f"CASE WHEN {is_readable} THEN {read} END"
        if required:
            read = f"coalesce({read}, {_EPOCH if name.endswith('_at') else repr('')})"
        null = "" if column.required else f" WHEN {raw} IS NULL THEN 'null'"
        original = f"CASE WHEN {is_readable} THEN NULL{null} ELSE 'is ' || {raw}::text END"
    write = _with_default(name, _write(received, column), column)
    if original is not None:
        restored = f"NEW.{quoted(original_name(name))}"
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
    if name in _MAY_BE_EMPTY and column.base in TEXTS - {"enum"}:
        return f"coalesce({write}, '')"
    if name == "metadata":
        return f"coalesce({write}, '{{}}')"
    return write
