"""The result of a schema migration."""

from typing import Self

from backstay.migration_result import MigrationResult
from backstay.schemas.base import ApiObject


class MigrationOut(ApiObject):
    """Schema versions before and after; 0 if there was no schema. With `isCheck` nothing was applied."""

    before: int
    after: int
    applied: list[int]
    is_check: bool

    @classmethod
    def from_result(cls, result: MigrationResult, *, is_check: bool) -> Self:
        return cls(before=result.before, after=result.after, applied=list(result.applied), is_check=is_check)
