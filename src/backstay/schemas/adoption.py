"""Adopted tables: the user's own tables in place of the built-in ones."""

from pydantic import Field

from backstay.library.adoption import AdoptionResult, UnadoptResult
from backstay.schemas.base import ApiObject


class AdoptedTableOut(ApiObject):
    """An adopted table. `columns` maps its columns to the built-in ones; `beside` lists those it lacks."""

    name: str
    place: str = Field(validation_alias="user_table")
    rows: int
    columns: dict[str, str]
    beside: list[str] = Field(validation_alias="side_columns")
    kept: list[str] = Field(validation_alias="other_columns")


class AdoptionOut(ApiObject):
    """The result of an adoption. With `is_check` nothing was written; `hindered` says why new rows cannot be stored."""

    is_check: bool
    was_there: bool
    tables: list[AdoptedTableOut]
    hindered: str | None
    remarks: list[str]

    @classmethod
    def from_adoption(cls, adoption: AdoptionResult, *, is_check: bool) -> "AdoptionOut":
        return cls(
            is_check=is_check,
            was_there=adoption.was_adopted,
            tables=[AdoptedTableOut.model_validate(table) for table in adoption.tables],
            hindered="; ".join(adoption.not_writable_reasons) or None,
            remarks=list(adoption.remarks),
        )


class UnadoptResultOut(ApiObject):
    """The tables that are no longer adopted (empty if none were), and those that were `dropped`.

    `conversations` and `turns` count those that lost values because the user's tables had no column for them. With
    `is_check` nothing was written.
    """

    is_check: bool
    given_back: list[str]
    dropped: list[str]
    conversations: int
    turns: int

    @classmethod
    def from_result(cls, result: UnadoptResult, *, is_check: bool) -> "UnadoptResultOut":
        return cls(
            is_check=is_check,
            given_back=list(result.tables),
            dropped=list(result.dropped),
            conversations=result.conversations,
            turns=result.turns,
        )
