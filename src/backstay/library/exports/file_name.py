"""The name of an exported file, whose ending selects the format, an array instead of lines, and the compression."""

import gzip
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from backstay.errors import SettingsError
from backstay.library.formats import DEFAULT, format_names

_COMPRESSIONS = (".gz", ".zst")
_DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".tsv")
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 6


def format_of_file(path: Path) -> str:
    """Return the name of the format that the ending of a file selects, otherwise the default.

    Raises:
        SettingsError: no format writes tables with this ending.
    """
    ending = _ending(path)
    if ending in _OTHER_TABLES:
        raise SettingsError(
            f"{ending} files cannot be written; name a .csv or .parquet file, or choose a format", setting="output"
        )
    return ending[1:] if ending[1:] in format_names() else DEFAULT


def stem_of(path: Path) -> str:
    """Return the name of a file without the endings of its format and compression."""
    plain = path.with_suffix("") if path.suffix.casefold() in _COMPRESSIONS else path
    return plain.stem if plain.suffix.casefold() in _DATA else plain.name


def is_data_file(name: str) -> bool:
    """Return whether a program that loads a folder as a dataset would read a file of this name."""
    return not name.startswith((".", "_")) and _ending(Path(name)) in _DATA


def _ending(path: Path) -> str:
    """Return the ending that selects the format, in lower case."""
    plain = path.with_suffix("") if path.suffix.casefold() in _COMPRESSIONS else path
    return plain.suffix.casefold()


def encoded(file: BinaryIO, path: Path, suffix: str) -> BinaryIO:
    """Return a stream into `file`, compressed as `path` is named; its `close` leaves `file` open.

    A format with the suffix `jsonl` becomes one array if the path ends with `.json`. Each write must be of whole lines.
    """
    stream = _compressed(file, path)
    is_array = suffix == "jsonl" and _ending(path) == ".json"
    return cast("BinaryIO", _JsonArray(stream)) if is_array else stream


def _compressed(file: BinaryIO, path: Path) -> BinaryIO:
    match path.suffix.casefold():
        case ".gz":  # without name and time, so that equal exports are equal bytes
            return cast("BinaryIO", gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))
        case ".zst":
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
            return cast("BinaryIO", compressor.stream_writer(file, closefd=False))
    return cast("BinaryIO", _Uncompressed(file))


class _JsonArray:
    """A stream that makes one array of lines of JSON."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._separator = b"[\n"

    def write(self, lines: bytes) -> None:
        if lines:
            self._stream.write(self._separator + lines.removesuffix(b"\n").replace(b"\n", b",\n"))
            self._separator = b",\n"

    def close(self) -> None:
        self._stream.write(b"[]\n" if self._separator.startswith(b"[") else b"\n]\n")
        self._stream.close()


class _Uncompressed:
    """A stream that writes to a file unchanged."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write

    def close(self) -> None:
        """Do nothing: the file stays open."""
