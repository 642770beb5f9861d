"""Requests to adopt tables, read from `[adopt]` in `backstay.toml` and from command line options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backstay.errors import SettingsError
from backstay.library.adoption_request import AdoptionRequest
from backstay.remedy import Remedy
from backstay.settings import ADOPT, FILE, read_table
from backstay.suggestions import did_you_mean


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
    settings, folder = read_table(ADOPT, directory)
    try:
        table = _Table.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"])
        hint = did_you_mean(name, _Table.model_fields) if first["type"] == "extra_forbidden" else ""
        problem = f"unknown setting {name!r}{hint} It" if hint else f"{name or 'it'} is invalid; it"
        raise SettingsError(
            f"[adopt] in {folder / FILE}: {problem} takes conversations, turns and [adopt.map]", setting=name
        ) from error
    conversations, turns = conversations or table.conversations, turns or table.turns
    if conversations is None or turns is None:
        missing = "conversations" if conversations is None else "turns"
        raise SettingsError(f"The table of {missing} to adopt is not named", remedy=Remedy.NAME_TABLES, setting="adopt")
    return AdoptionRequest(conversations, turns, {**_flatten(table.map), **(columns or {})})


def _flatten(nested: dict[str, Any]) -> dict[str, str]:
    flat = {name: column for name, column in nested.items() if isinstance(column, str)}
    for prefix, columns in nested.items():
        if isinstance(columns, dict):
            flat |= {f"{prefix}.{name}": column for name, column in columns.items()}
    return flat
