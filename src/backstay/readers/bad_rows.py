"""Bad rows of an input, which cannot be used, and what is done with them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from backstay.bad_row_policy import BadRowPolicy
from backstay.errors import BackstayError, InputError
from backstay.remedy import Remedy

MAX_EXAMPLES = 100
REASONS_SUFFIX = ".reasons.jsonl"
"""The ending that the file of reasons adds to the name of its quarantine."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the input, for a file of rows with `suffix` that begins with `header`."""

    text: bytes
    suffix: str = ".jsonl"
    header: bytes = b""


@dataclass(frozen=True, slots=True)
class BadRow:
    """The location of a bad row, and why it cannot be used. The reason never quotes the row."""

    where: str
    line: int
    reason: str
    file: str | None = None
    """The file of the row; None unless the input has several."""

    @classmethod
    def from_error(
        cls, error: BackstayError, where: str, line: int, *, name: str = "", file: str | None = None
    ) -> Self:
        """Return the row that an error is about; `name` is the input's, which errors about columns begin with."""
        return cls(where, line, error.message.removeprefix(where).removeprefix(name).lstrip(": "), file)

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class BadRowsReport:
    """The bad rows that were left out: how many, and the first ones of them."""

    count: int = 0
    examples: tuple[BadRow, ...] = ()


class Quarantine(Protocol):
    """A file of bad rows, which appears when what was read with it is committed."""

    def restart(self) -> None:
        """Drop all rows; the input is read from its start."""

    def add(self, row: RawRow, bad_row: BadRow) -> None:
        """Write a row. Raises OutputUnwritable."""

    def seal(self) -> None:
        """Flush the rows to disk. Raises OutputUnwritable."""


class BadRows:
    """The bad rows of one input, by policy either refused or left out and counted."""

    def __init__(self, policy: BadRowPolicy = BadRowPolicy.FAIL, quarantine: Quarantine | None = None) -> None:
        self.has_several_files = False
        """Whether the input has several files, so that each bad row names its own."""
        self._policy = policy
        self._quarantine = quarantine
        self._count = 0
        self._examples: list[BadRow] = []
        self._first_error: BackstayError | None = None

    @property
    def keeps_raw(self) -> bool:
        """Whether each row is needed as it stands in the input."""
        return self._quarantine is not None

    @property
    def count(self) -> int:
        return self._count

    @property
    def has_refused(self) -> bool:
        """Whether reading ended at a bad row."""
        return self._policy is BadRowPolicy.FAIL and self._count > 0

    def restart(self) -> None:
        """Forget all rows, because the input is read from its start."""
        self._count, self._first_error = 0, None
        self._examples.clear()
        if self._quarantine is not None:
            self._quarantine.restart()

    def reject(self, error: BackstayError, bad_row: BadRow, raw: RawRow | None) -> None:
        """Leave a row out, or raise the error about it."""
        self._count += 1
        self._first_error = self._first_error or error
        if self._policy is BadRowPolicy.FAIL:
            raise error
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(bad_row)
        if self._quarantine is not None and raw is not None:
            self._quarantine.add(raw, bad_row)

    @property
    def report(self) -> BadRowsReport:
        return BadRowsReport(self._count, tuple(self._examples))

    def finish(self, *, used: int) -> None:
        """Flush the quarantine once everything is read, before it is committed.

        Raises:
            BackstayError: no row can be used; it is the error about the first one.
        """
        if self._first_error is not None and not used:
            first = self._first_error
            raise first.with_message(f"{first.message}; no row can be used", **first.context)
        if self._quarantine is not None:
            self._quarantine.seal()


def with_further_count(
    error: BackstayError, read_again: Callable[[BadRows], Iterable[tuple[str | None, object]]]
) -> BackstayError:
    """Return the error about the first bad row with the count of the others, which takes another reading. Blocks.

    `read_again` yields the usable rows, each with its file if there are several.
    """
    counted, is_whole = BadRows(BadRowPolicy.SKIP), True
    is_not_utf8, has_other_text = error.remedy is Remedy.NAME_ENCODING, False
    try:
        for file, rows in read_again(counted):
            if is_not_utf8 and not has_other_text and file in (None, error.context["path"]):
                has_other_text = not repr(rows).isascii()
    except BackstayError:  # the rest of the file cannot be read
        is_whole = False
    count = counted.count - 1
    rows_text = "row is" if count == 1 else "rows are"
    addition = f"; {'' if is_whole else 'at least '}{count:,} more {rows_text} unusable" if count > 0 else ""
    message, remedy = error.message, error.remedy
    if has_other_text:  # The file is UTF-8 except for bad rows, and another encoding would garble the other rows.
        message, remedy = message.removesuffix(f", but probably {error.context['encoding']}"), Remedy.SKIP_BAD_ROWS
    elif is_not_utf8:
        remedy = Remedy.NAME_ENCODING_OR_SKIP
    elif isinstance(error, InputError) and remedy is None:
        remedy = Remedy.SKIP_BAD_ROWS
    further = error.with_message(f"{message}{addition}", **error.context)
    further.remedy = remedy
    return further
