"""Side tables: the built-in columns that the user tables lack, kept in step by triggers on the user tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from backstay.storage.postgres.adoption.casts import NOW, SORTED_BY_BYTES, cast_for
from backstay.storage.postgres.adoption.catalog import UserTable
from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.adoption.templates import render

_EVENTS = ("added", "gone", "moved", "emptied")
_INDEX_TRIGGERS = (
    "index_side",
    "index_conversations_changed",
    *(f"index_turns_{event}" for event in ("added", "changed", "moved", "gone", "emptied")),
)


def template_values(mapping: TableMapping, schema: str) -> dict[str, Any]:
    """Return what the templates of side tables, triggers and views are rendered with."""
    columns = mapping.conversation_columns
    identity, created_at = columns["id"], columns.get("created_at")
    side_columns = [name for name in mapping.side_columns if name != "owner"]
    return {
        "schema": schema,
        "conversations": mapping.conversations,
        "turns": mapping.turns,
        "id": identity,
        "owner": columns.get("owner"),
        "default_owner": mapping.default_owner,
        "created_at": created_at,
        "created_at_text": created_at and cast_for("created_at", created_at, never_null=True).read,
        "parent": mapping.parent,
        "foreign_key": mapping.foreign_key,
        "turn_identity": mapping.turn_identity,
        "side_columns": side_columns,
        "side_turn_columns": mapping.side_turn_columns,
        "has_updated_at": created_at is not None and "updated_at" in side_columns,
        "sorted_by_bytes": SORTED_BY_BYTES,
        "now": NOW,
        "id_position": _positions(mapping.conversations, {identity.name: "id"}),
        "parent_position": _positions(mapping.turns, {mapping.parent.name: "parent"}),
        "turn_positions": _positions(
            mapping.turns, {name: f"key_{number}" for number, name in enumerate(mapping.turn_identity)}
        ),
    }


def create(mapping: TableMapping, schema: str) -> Iterator[str]:
    """Yield the statements that create and fill the side tables, and keep them in step from then on."""
    values = template_values(mapping, schema)
    yield render("side_tables/conversations", **values)
    yield render("side_tables/adopted_id", **values)
    if mapping.side_turn_columns:
        yield render("side_tables/turns", **values)
    yield from renew_triggers(mapping, schema)
    yield render("side_tables/insert_missing", **values)


def renew_triggers(mapping: TableMapping, schema: str) -> Iterator[str]:
    """Yield the statements that create the triggers, replacing those that exist."""
    names = ["side_tables/adopted_rows", *(f"triggers/conversations_{event}" for event in _EVENTS)]
    if mapping.side_turn_columns:
        names += [f"triggers/turns_{event}" for event in _EVENTS if event != "added"]
    names += [f"triggers/{name}" for name in _INDEX_TRIGGERS]
    values = template_values(mapping, schema)
    yield from (render(name, **values) for name in names)


def repair(mapping: TableMapping, schema: str) -> str:
    """Return the statements that bring the side tables back in step, whatever has happened to them."""
    return render("side_tables/repair", **template_values(mapping, schema))


def _positions(table: UserTable, aliases: Mapping[str, str]) -> str:
    """Return aliases for the columns of a row by position, since a function's text does not follow a renamed column."""
    positions = {table.all_columns.index(name): alias for name, alias in aliases.items()}
    return ", ".join(positions.get(position, f"other_{position}") for position in range(max(positions) + 1))
