"""Tables of a user's own in the place of ours."""

from backstay.library.adoption import AdoptionResult, UnadoptResult
from backstay.schemas.base import ApiObject


class AdoptedTableOut(ApiObject):
    """`columns` says which column of theirs is which of ours; `beside` what of ours has none there."""

    name: str
    place: str
    rows: int
    columns: dict[str, str]
    beside: list[str]
    kept: list[str]


class AdoptionOut(ApiObject):
    """What adopting came to. With `is_check` nothing was written; `hindered` says why nothing new can be stored."""

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
            tables=[
                AdoptedTableOut(
                    name=table.name,
                    place=table.user_table,
                    rows=table.rows,
                    columns=dict(table.columns),
                    beside=list(table.side_columns),
                    kept=list(table.other_columns),
                )
                for table in adoption.tables
            ],
            hindered=adoption.not_writable_reason,
            remarks=list(adoption.remarks),
        )


class UnadoptResultOut(ApiObject):
    """Which tables are their own again; none where none were adopted. `dropped` ones are not there any more.

    `conversations` and `turns` count those of which something had no column there: it is lost. With `is_check` nothing
    was written.
    """

    is_check: bool
    given_back: list[str]
    dropped: list[str]
    conversations: int
    turns: int

    @classmethod
    def from_result(cls, done: UnadoptResult, *, is_check: bool) -> "UnadoptResultOut":
        return cls(
            is_check=is_check,
            given_back=list(done.tables),
            dropped=list(done.dropped),
            conversations=done.conversations,
            turns=done.turns,
        )
