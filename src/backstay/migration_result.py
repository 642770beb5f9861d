"""The result of a migration of the schema."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What a migration has done, or what a check says that it would do."""

    before: int
    """The schema number before; 0 without a schema."""
    after: int
    applied: Sequence[int]
    """The numbers of the migrations that were applied, or would be."""
