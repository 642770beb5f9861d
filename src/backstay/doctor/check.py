"""The result of a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from backstay.errors import BackstayError
from backstay.remedy import Remedy

_MAX_LISTED = 5


class CheckLevel(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check, and what to do about it: in words, or as a remedy with its `context`."""

    name: str
    level: CheckLevel
    message: str
    remedy: str | Remedy | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_error(cls, name: str, error: BackstayError) -> Self:
        # An error's advice to run `doctor` is pointless in the output of `doctor`.
        remedy = error.remedy if error.remedy is not Remedy.EXAMINE else None
        return cls(name, CheckLevel.PROBLEM, error.message, remedy, error.context)


def format_bytes(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def format_first(names: Sequence[str]) -> str:
    """Return the first of many names, and the number of the others."""
    more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
    return f"{', '.join(names[:_MAX_LISTED])}{more}"
