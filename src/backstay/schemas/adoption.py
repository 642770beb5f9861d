"""Adopted tables: the user's own tables in place of the built-in ones."""

from dataclasses import asdict

from pydantic import Field

from backstay.library.adoption import AdoptionResult, UnadoptResult
from backstay.schemas.base import ApiObject


class AdoptedTableOut(ApiObject):
    """An adopted table. `columns` names its column of each built-in one. It lacks those in `side_columns`.

    `other_columns` are its columns that stand for no built-in one.
    """

    name: str
    place: str = Field(validation_alias="user_table")
    rows: int
    columns: dict[str, str]
    side_columns: list[str]
    other_columns: list[str]


class AdoptionOut(ApiObject):
    """The result of an adoption. With `is_check` nothing was written.

    `not_writable_reasons` says why no new conversations can be stored; empty if they can.
    """

    is_check: bool
    was_there: bool = Field(validation_alias="was_adopted")
    tables: list[AdoptedTableOut]
    not_writable_reasons: list[str]
    remarks: list[str]

    @classmethod
    def from_adoption(cls, adoption: AdoptionResult, *, is_check: bool) -> "AdoptionOut":
        return cls.model_validate({**asdict(adoption), "is_check": is_check})


class UnadoptResultOut(ApiObject):
    """The tables that are no longer adopted (empty if none were), and those that were `dropped`.

    `conversations` and `turns` count those that lost values because the user's tables had no column for them. With
    `is_check` nothing was written.
    """

    is_check: bool
    given_back: list[str] = Field(validation_alias="tables")
    dropped: list[str]
    conversations: int
    turns: int

    @classmethod
    def from_result(cls, result: UnadoptResult, *, is_check: bool) -> "UnadoptResultOut":
        return cls.model_validate({**asdict(result), "is_check": is_check})
