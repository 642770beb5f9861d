"""The result of a migration."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """A migration that was applied, or that a check found necessary."""

    before: int
    """The schema number before; 0 without a schema."""
    after: int
    applied: Sequence[int]
    """The numbers of the migrations that were applied, or would be."""
