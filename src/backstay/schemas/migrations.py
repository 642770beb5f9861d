"""What bringing a database up to date came to."""

from typing import Self

from backstay.schemas.base import ApiObject
from backstay.storage.sql.migration_result import MigrationResult


class MigrationOut(ApiObject):
    """Numbers of schemas, 0 where there was none. With `is_check` nothing was applied."""

    before: int
    after: int
    applied: list[int]
    is_check: bool

    @classmethod
    def from_result(cls, done: MigrationResult, *, is_check: bool) -> Self:
        return cls(before=done.before, after=done.after, applied=list(done.applied), is_check=is_check)
