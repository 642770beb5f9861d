"""How a value of theirs is said in our words, and ours in theirs: expressions of SQL."""

from dataclasses import dataclass

from backstay.storage.postgres.adoption.catalog import UserColumn
from backstay.storage.postgres.adoption.mapping import JSON, TEXTS, TIMES
from backstay.storage.postgres.queries import quoted

_FORM = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_EPOCH = "'1970-01-01T00:00:00.000000Z'"
NOW = f"pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', {_FORM})"
_BYTES_IN_ORDER = frozenset({"owner", "id", "persona", "job_id", "item_id", "created_at", "updated_at"})
_MAY_BE_EMPTY = frozenset({"topic", "persona", "content"})


@dataclass(frozen=True, slots=True)
class Cast:
    """One of their columns in the place of one of ours."""

    shown: str
    """What the view shows."""
    kept: str | None
    """The text that says what is there where the view cannot show it; null where it does. None if it always does."""
    stored: str
    """What is put in for what the view is given."""


def kept_name(name: str) -> str:
    """Return the column of the view that says what another one cannot."""
    return f"backstay_{name}"


def fit(name: str, column: UserColumn, *, alias: str, needed: bool, of_turns: bool = False) -> Cast:
    """Return how a column is shown and stored; with `needed` ours is never null."""
    raw, given = f"{alias}.{quoted(column.name)}", f"NEW.{quoted(name)}"
    shown, can = _shown(raw, column)
    collated = ' COLLATE "C"' if name in _BYTES_IN_ORDER and not of_turns else ""
    conditions = [can] if can else []
    if needed and not column.required:
        conditions.append(f"{raw} IS NOT NULL")
    kept = None
    if conditions:
        is_shown = " AND ".join(conditions)
        shown = f"CASE WHEN {is_shown} THEN {shown} END"
        if needed:
            shown = f"coalesce({shown}, {_EPOCH if name.endswith('_at') else repr('')})"
        missing = "" if column.required else f" WHEN {raw} IS NULL THEN 'null'"
        kept = f"CASE WHEN {is_shown} THEN NULL{missing} ELSE 'is ' || {raw}::text END"
    stored = _or_default(name, _stored(given, column), column)
    if kept is not None:
        told = f"NEW.{quoted(kept_name(name))}"
        stored = (
            f"CASE WHEN {told} IS NULL THEN {stored} WHEN {told} = 'null' THEN NULL"
            f" ELSE pg_catalog.substr({told}, 4)::{column.cast} END"
        )
    return Cast(f"({shown}){collated}" if collated else shown, kept, stored)


def _shown(raw: str, column: UserColumn) -> tuple[str, str | None]:
    if column.base in TIMES:
        moment = f"{raw} AT TIME ZONE 'UTC'" if column.base == "timestamptz" else raw
        zone = "+00" if column.base == "timestamptz" else ""
        return (
            f"pg_catalog.to_char({moment}, {_FORM})",
            f"{raw} >= '0001-01-02{zone}' AND {raw} < '9999-12-31{zone}'",
        )
    if column.base in JSON:
        kind = f"pg_catalog.{column.base}_typeof({raw})"
        return f"{raw}::text", f"coalesce({kind} = 'object', TRUE)"
    return (raw if column.type == "text" else f"{raw}::text"), None


def _stored(given: str, column: UserColumn) -> str:
    if column.base == "timestamp":
        return f"({given}::timestamp with time zone AT TIME ZONE 'UTC')::{column.cast}"
    return f"{given}::{column.cast}"


def _or_default(name: str, stored: str, column: UserColumn) -> str:
    """Have their default, or nothing as they say it, stand for what we do not say."""
    if not column.required:
        return stored
    if column.default is not None:
        return f"coalesce({stored}, {column.default})"
    if name in _MAY_BE_EMPTY and column.base in TEXTS - {"enum"}:
        return f"coalesce({stored}, '')"
    if name == "metadata":
        return f"coalesce({stored}, '{{}}')"
    return stored
