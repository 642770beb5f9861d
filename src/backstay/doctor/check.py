"""The result of a check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from backstay.errors import BackstayError
from backstay.remedy import Remedy


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
    def from_error(cls, name: str, error: BackstayError, level: CheckLevel = CheckLevel.PROBLEM) -> Self:
        # An error's advice to run `doctor` is pointless in the output of `doctor`.
        remedy = error.remedy if error.remedy is not Remedy.EXAMINE else None
        return cls(name, level, error.message, remedy, error.context)


def format_bytes(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
