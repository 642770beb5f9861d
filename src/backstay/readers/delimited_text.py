"""CSV and TSV: a header, then one record per row. A quoted cell may contain line breaks."""

import csv
import threading
from collections import Counter
from collections.abc import Iterator

from backstay.errors import InvalidRow
from backstay.readers.bad_rows import RawRow
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText, decode, record_too_long
from backstay.readers.row import InputRow

# The csv module allows this many characters per cell, unless the process has set another limit. A record with no more
# bytes cannot exceed that limit.
_DEFAULT_LIMIT = 128 * 1024


def read_delimited(text: InputText, *, delimiter: str) -> Iterator[InputRow]:
    """Yield a row for each record after the header. Blank lines are skipped; empty cells are "".

    Rejects a record with a different number of cells than the header. Raises InputUnreadable for a header with an empty
    or repeated name and for text that is not UTF-8, InvalidRow for bad quoting, a NUL byte or a record with more than
    `MAX_RECORD_BYTES`.
    """
    feed = _LineFeed(text)
    records = _records(feed, text.errors, delimiter)
    header_line, header = next((record for record in records if not _is_blank(record[1])), (0, []))
    _check_header(header, text.errors, header_line)
    width, header_text = len(header), feed.record_text
    suffix, keeps_raw = ".tsv" if delimiter == "\t" else ".csv", feed.keeps_raw
    for line, cells in records:
        raw = RawRow(feed.record_text, suffix, header_text) if keeps_raw else None
        if len(cells) == width:
            yield InputRow(line, dict(zip(header, cells, strict=True)), raw)
        elif not _is_blank(cells):
            text.errors.reject(_wrong_cell_count(text.errors, line, len(cells), width), line, raw)


def _records(feed: "_LineFeed", errors: InputErrors, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the number of its first line; skip empty lines."""
    reader = csv.reader(feed.lines(), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise errors.invalid_row(feed.record_line, _csv_reason(error, feed)) from None
        finally:
            line = feed.end_record()
        if cells is None:
            return
        if cells:
            yield line, cells


class RaisedFieldLimit:
    """A limit of at least `limit` characters per cell, in force between `hold` and `release`.

    The csv module has one limit for the whole process. Other code may rely on that limit, so it is raised only for a
    record that needs more. All readers share one instance: the last one to call `release` restores the previous limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._holders = 0
        self._previous_limit = 0

    def hold(self) -> None:
        """Raise the limit. Each call needs one `release`."""
        with self._lock:
            if self._holders == 0:
                self._previous_limit = csv.field_size_limit()
                csv.field_size_limit(max(self._limit, self._previous_limit))
            self._holders += 1

    def release(self) -> None:
        """Undo one `hold`."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                csv.field_size_limit(self._previous_limit)


_raised_limit = RaisedFieldLimit(MAX_RECORD_BYTES)


class _LineFeed:
    """A feed of lines for the csv module that tracks the current record.

    The csv module requests no line beyond the record that it is reading.
    """

    def __init__(self, text: InputText) -> None:
        self.record_line = text.first_line
        self.is_at_end = False
        self.keeps_raw = text.errors.keeps_raw
        self.record_text = b""
        """The last record as it stands in the input; empty unless raw text is kept."""
        self._raw_lines: list[bytes] = []
        self._text = text
        self._line = text.first_line - 1
        self._record_bytes = 0
        self._unraised_limit = min(_DEFAULT_LIMIT, csv.field_size_limit())
        self._holds_limit = False

    def lines(self) -> Iterator[str]:
        """Yield decoded lines. Raises InputUnreadable and InvalidRow for lines that the csv module must not get."""
        errors, keeps_raw = self._text.errors, self.keeps_raw
        for number, raw in self._text.lines():
            self._line = number
            self._record_bytes += len(raw)
            if self._record_bytes > self._unraised_limit:
                self._allow_long_record()
            if b"\0" in raw:
                raise errors.invalid_row(number, "a NUL byte, which text files never have; save it as UTF-8 text again")
            if keeps_raw:
                self._raw_lines.append(raw)
            yield decode(raw, errors, number)
        self.is_at_end = True

    def end_record(self) -> int:
        """End the current record; return the number of its first line."""
        if self._holds_limit:
            _raised_limit.release()
            self._holds_limit = False
        line = self.record_line
        self.record_line = self._line + 1
        self._record_bytes = 0
        if self.keeps_raw:
            self.record_text = b"".join(self._raw_lines)
            self._raw_lines.clear()
        return line

    def _allow_long_record(self) -> None:
        if self._record_bytes > MAX_RECORD_BYTES:
            raise record_too_long(self._text.errors, self.record_line)
        if not self._holds_limit:
            _raised_limit.hold()
            self._holds_limit = True


def _is_blank(cells: list[str]) -> bool:
    """Return whether a record looks like a blank line. In a file with one column it is a row nevertheless."""
    return len(cells) == 1 and not cells[0].strip()


def _csv_reason(error: csv.Error, feed: _LineFeed) -> str:
    if feed.is_at_end:
        return "a quote that opens in this row is never closed"
    if str(error).startswith("new-line"):
        return "a carriage return outside quotes; save the file with LF or CRLF line ends"
    return "text follows a closing quote; close every quote, and write one inside a quoted cell twice"


def _check_header(header: list[str], errors: InputErrors, line: int) -> None:
    for number, name in enumerate(header, start=1):
        if not name.strip():
            raise errors.unreadable(f"column {number} has no name in the header; give it one", line=line)
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        # Without a header these are cells of a row: quote only enough to recognise them.
        names = ", ".join(repr(name[:40]) for name in repeated)
        raise errors.unreadable(f"the header repeats {names}; give each column its own name", line=line)


def _wrong_cell_count(errors: InputErrors, line: int, count: int, expected: int) -> InvalidRow:
    cells = "1 cell" if count == 1 else f"{count} cells"
    reason = f"{cells} where the header has {expected}; check for a stray comma or an unclosed quote"
    return errors.invalid_row(line, reason)
