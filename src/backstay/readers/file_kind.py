"""The kind of a file, by its name: the ending, with that of a compression after it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Self

from backstay.readers.compression import COMPRESSED_SUFFIXES


class RowFormat(StrEnum):
    """A format of rows."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    TEXT = "text"


_FORMATS = {
    ".csv": RowFormat.CSV,
    ".tsv": RowFormat.TSV,
    ".jsonl": RowFormat.JSONL,
    ".ndjson": RowFormat.JSONL,
    ".json": RowFormat.JSON,
    ".parquet": RowFormat.PARQUET,
    ".txt": RowFormat.TEXT,
}
SUFFIXES = tuple(_FORMATS)
"""The endings of names, each of which may be followed by that of a compression."""
TEXT_SUFFIX = ".txt"
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
SPREADSHEET_ADVICE = "a spreadsheet; save it there as CSV UTF-8"
KINDS_TEXT = f"{' '.join(SUFFIXES)}, each also with {' or '.join(COMPRESSED_SUFFIXES)}"


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file's name says about its content, which is only sometimes true."""

    suffix: str
    """The ending that names the format, in lower case; empty if the name has none."""
    compression: str
    """The ending that names the compression, in lower case; empty if the name has none."""

    @classmethod
    def from_name(cls, name: str) -> Self:
        path = PurePath(name.lower())
        compression = path.suffix if path.suffix in COMPRESSED_SUFFIXES else ""
        return cls(PurePath(path.name.removesuffix(compression)).suffix, compression)

    @property
    def format(self) -> RowFormat | None:
        return _FORMATS.get(self.suffix)

    @property
    def ending(self) -> str:
        """The whole ending, such as `.jsonl.gz`."""
        return self.suffix + self.compression

    def stem_of(self, name: str) -> str:
        """Return the name of such a file without its ending."""
        return name[: len(name) - len(self.ending)]
