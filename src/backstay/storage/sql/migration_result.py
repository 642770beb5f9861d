"""What bringing a database to the schema that this code knows came to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What a migration did, or would do."""

    before: int
    """The number of the schema that was there; 0 where there was none."""
    after: int
    applied: Sequence[int]
    """The migrations that were applied, or would be."""
