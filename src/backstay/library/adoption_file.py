"""Requests to adopt tables, read from `[adopt]` in `backstay.toml` and from command line options."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backstay.errors import SettingsError
from backstay.library.adoption import AdoptionRequest
from backstay.settings import FILE, adopt_table
from backstay.suggestions import did_you_mean

_EXAMPLE = "for instance --conversations public.chats --turns public.messages --map id=chat_id,turns.content=body"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    conversations: str | None = None
    turns: str | None = None
    map: dict[str, str | dict[str, str]] = Field(default_factory=dict)


def adoption_from_settings(
    directory: Path,
    *,
    conversations: str | None = None,
    turns: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> AdoptionRequest:
    """Return the request from the settings file of a directory, overridden by the arguments.

    Raises:
        SettingsError: a table is not named, or `[adopt]` is invalid.
    """
    settings, folder = adopt_table(directory)
    try:
        table = _Table.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"])
        hint = did_you_mean(name, _Table.model_fields) if first["type"] == "extra_forbidden" else ""
        problem = f"unknown setting {name!r}{hint} It" if hint else f"{name or 'it'} is invalid; it"
        raise SettingsError(
            f"[adopt] in {folder / FILE}: {problem} takes conversations, turns and [adopt.map]",
            setting=name,
        ) from error
    conversations, turns = conversations or table.conversations, turns or table.turns
    if conversations is None or turns is None:
        missing = "--conversations" if conversations is None else "--turns"
        raise SettingsError(f"Say which tables to adopt: {missing} is missing, {_EXAMPLE}", setting="adopt")
    return AdoptionRequest(conversations, turns, {**_flatten(table.map), **(columns or {})})


def parse_column_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Parse texts of comma-separated pairs `name=column`. Raises SettingsError."""
    mapping: dict[str, str] = {}
    for pair in (pair.strip() for text in texts for pair in text.split(",")):
        if not pair:
            continue
        name, separator, column = pair.partition("=")
        if not separator or not name.strip():
            raise SettingsError(f"--map takes pairs of name=column, not {pair!r}; {_EXAMPLE}", setting="map")
        if name.strip() in mapping:
            raise SettingsError(f"--map names the column of {name.strip()} twice", setting="map")
        mapping[name.strip()] = column.strip()
    return mapping


def _flatten(nested: dict[str, Any]) -> dict[str, str]:
    flat = {name: column for name, column in nested.items() if isinstance(column, str)}
    for prefix, columns in nested.items():
        if isinstance(columns, dict):
            flat |= {f"{prefix}.{name}": column for name, column in columns.items()}
    return flat
