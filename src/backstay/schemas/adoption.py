"""Adopted tables: the user's own tables in place of the built-in ones."""

from dataclasses import asdict

from pydantic import Field

from backstay.library.adoption_request import AdoptionResult, UnadoptResult
from backstay.schemas.base import ApiObject


class AdoptedTableOut(ApiObject):
    """An adopted table: `name` is the built-in table that `userTable` replaces.

    `columns` maps built-in names to columns of the user table. `sideColumns` are the built-in columns that it lacks,
    `otherColumns` its own that are mapped to no built-in name.
    """

    name: str
    user_table: str
    rows: int
    columns: dict[str, str]
    side_columns: list[str]
    other_columns: list[str]


class AdoptionOut(ApiObject):
    """The result of an adoption. With `isCheck` nothing was written.

    `wasAdopted` is true if these tables had already been adopted with the same mapping. `notWritableReasons` says
    why no new conversations can be stored; empty if they can.
    """

    is_check: bool
    was_adopted: bool
    tables: list[AdoptedTableOut]
    not_writable_reasons: list[str]
    remarks: list[str]

    @classmethod
    def from_adoption(cls, adoption: AdoptionResult, *, is_check: bool) -> "AdoptionOut":
        return cls.model_validate({**asdict(adoption), "is_check": is_check})


class UnadoptResultOut(ApiObject):
    """The user tables that are no longer adopted: those that still exist, and those that the user had `dropped`.

    `conversations` and `turns` count those that lost values, because the user tables had no column for these values;
    `curated` counts the conversations that lost their reviews and earlier versions. With `isCheck` nothing was written.
    """

    is_check: bool
    unadopted: list[str] = Field(validation_alias="tables")
    dropped: list[str]
    conversations: int
    turns: int
    curated: int

    @classmethod
    def from_result(cls, result: UnadoptResult, *, is_check: bool) -> "UnadoptResultOut":
        return cls.model_validate({**asdict(result), "is_check": is_check})
