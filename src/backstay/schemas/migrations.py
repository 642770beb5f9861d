"""What bringing a database up to date came to."""

from typing import Self

from backstay.schemas.base import Object
from backstay.storage.sql.migrated import Migrated


class MigrationOut(Object):
    """Numbers of schemas, 0 where there was none. With `is_check` nothing was applied."""

    before: int
    after: int
    applied: list[int]
    is_check: bool

    @classmethod
    def of(cls, done: Migrated, *, is_check: bool) -> Self:
        return cls(before=done.before, after=done.after, applied=list(done.applied), is_check=is_check)
