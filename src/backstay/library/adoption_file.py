"""Which tables shall be adopted, as `[adopt]` of `backstay.toml` or the words of a command say it."""

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
    here: Path,
    *,
    conversations: str | None = None,
    turns: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> AdoptionRequest:
    """Say what shall be adopted; what is given here goes before what the file says.

    Raises:
        SettingsError: a table is not named, or what is said cannot be understood.
    """
    told, folder = adopt_table(here)
    try:
        table = _Table.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = did_you_mean(name, _Table.model_fields) if first["type"] == "extra_forbidden" else ""
        wrong = f"there is no setting {name!r}{hint} It" if hint else f"{name or 'it'} is wrong; it"
        raise SettingsError(
            f"[adopt] in {folder / FILE}: {wrong} takes conversations, turns and [adopt.map]",
            setting=name,
        ) from error
    conversations, turns = conversations or table.conversations, turns or table.turns
    if conversations is None or turns is None:
        missing = "--conversations" if conversations is None else "--turns"
        raise SettingsError(f"Say which tables to adopt: {missing} is missing, {_EXAMPLE}", setting="adopt")
    return AdoptionRequest(conversations, turns, {**_flat(table.map), **(columns or {})})


def parse_column_pairs(mapped: Iterable[str]) -> dict[str, str]:
    """Read pairs `ours=theirs`, several of them with commas between. Raises SettingsError."""
    found: dict[str, str] = {}
    for part in (part.strip() for text in mapped for part in text.split(",")):
        if not part:
            continue
        name, is_pair, column = part.partition("=")
        if not is_pair or not name.strip():
            raise SettingsError(f"--map takes pairs of ours=theirs, and {part!r} is none; {_EXAMPLE}", setting="map")
        if name.strip() in found:
            raise SettingsError(f"--map says twice which column is {name.strip()}", setting="map")
        found[name.strip()] = column.strip()
    return found


def _flat(told: dict[str, Any]) -> dict[str, str]:
    found = {name: column for name, column in told.items() if isinstance(column, str)}
    for name, columns in told.items():
        if isinstance(columns, dict):
            found |= {f"{name}.{one}": column for one, column in columns.items()}
    return found
