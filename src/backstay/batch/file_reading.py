"""Rows of items from files: which files an input names, and how they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from backstay.batch.item_columns import ColumnMapping
from backstay.readers import InputRow, read_rows
from backstay.readers.bad_rows import BadRows
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_files import find_files
from backstay.readers.input_notes import InputNotes
from backstay.readers.read_options import ReadOptions
from backstay.readers.row_rules import RowRules


class TextCounter:
    """The bytes that the compressed files of one input have expanded to."""

    def __init__(self, path: str, ceiling: InputCeiling | None) -> None:
        self._path = path
        self._ceiling = ceiling
        self._total = 0

    def add(self, count: int) -> None:
        """Count bytes that are about to be read. Raises InputTooLarge if they exceed the ceiling."""
        self._total += count
        if self._ceiling is not None:
            self._ceiling.check(self._path, rows=0, text_bytes=self._total, row_noun="items")


@dataclass(frozen=True, slots=True)
class FileReading:
    """How the files of one input are read."""

    stdin: BinaryIO | None
    options: ReadOptions
    notes: InputNotes
    counter: TextCounter

    def find_files(self, source: Path | None) -> Sequence[Path | None]:
        """Return the files of a path, a folder or a pattern; None is standard input. Raises InputError."""
        return (None,) if source is None else find_files(source, self.notes)

    def without_ceiling(self) -> Self:
        """Return how to read the same files again, which have passed the ceiling."""
        return replace(self, counter=TextCounter("", None))

    def read_rows(self, path: Path | None, columns: ColumnMapping, bad_rows: BadRows) -> Iterator[InputRow]:
        """Yield the rows of one file. Raises like `readers.read_rows`."""
        keys = frozenset({(columns.topic or "topic").strip().casefold()})
        return read_rows(
            path,
            options=self.options,
            stdin=self.stdin,
            rules=RowRules(row_keys=keys, text_column="topic"),
            notes=self.notes,
            bad_rows=bad_rows,
            count_bytes=self.counter.add,
        )
