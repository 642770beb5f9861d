"""Printing: results on standard output, everything else on standard error."""

import errno
import os
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.cli.invocation import Invocation
from backstay.cli.text import printable, truncate
from backstay.errors import OutputUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backstay.schemas import ApiObject

_MIN_FOLDED_CHARACTERS = 8  # of a column that may be folded
_MAX_UNFOLDED_ID_CHARACTERS = 44  # generated ids are shorter; a longer job name is folded
_FOLDED_ID_CHARACTERS = 30
_CLOSED_ERRNOS = (errno.EPIPE, errno.EIO)  # EIO: the terminal was closed


class OutputClosed(Exception):
    """Signal that the reader of standard output has closed it; this is not a failure."""


class Output:
    """Printer of one command."""

    def __init__(self, invocation: Invocation, *, as_json: bool) -> None:
        self.as_json = as_json
        self.json_logs = invocation.json_logs
        self.input_notes: list[str] = []
        """What was noticed about the inputs, as whole sentences."""

    def line(self, text: str = "") -> None:
        """Print a line of the result, unless the result is printed as JSON."""
        if not self.as_json:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            self.write(f"{text}\n".encode(encoding, "backslashreplace"))

    def print_result(self, to_object: "Callable[[], ApiObject]", *lines: str) -> None:
        """Print the result: the object if it is printed as JSON, else the lines."""
        if self.as_json:
            self.print_json(to_object())
        for line in lines:
            self.line(line)

    def print_json(self, result: "ApiObject") -> None:
        """Print the result as JSON."""
        self.write(result.to_json() + b"\n")

    async def print_json_list(
        self, name: str, objects: "AsyncIterator[ApiObject]", *, others: "Mapping[str, Sequence[ApiObject]]"
    ) -> None:
        """Print `{name: […]}` object by object, then the other lists.

        An error before the first object leaves standard output empty.
        """
        separator = f'{{"{name}":['.encode()
        async for item in objects:
            self.write(separator + item.to_json())
            separator = b",\n"
        self.write((b"" if separator == b",\n" else separator) + b"]")
        for other_name, other_objects in others.items():
            self.write(f',"{other_name}":['.encode() + b",\n".join(item.to_json() for item in other_objects) + b"]")
        self.write(b"}\n")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, unbroken: Collection[str] = ()
    ) -> None:
        """Print rows as a table on a terminal; elsewhere one row per line, with tabs between cells and no heading.

        Generated ids in the first column, and the columns in `unbroken`, are never folded. If the terminal is too
        narrow for a table, each row takes a few lines.
        """
        texts = [[printable(cell) for cell in row] for row in rows]
        if not is_terminal(1):
            for row in texts:
                self.line("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console()
        # Ids and times are copied and compared, so they stay whole; other columns are folded.
        longest = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
        min_widths = [
            length if column in unbroken else min(length, max(len(column), _MIN_FOLDED_CHARACTERS))
            for column, length in zip(columns, longest, strict=True)
        ]
        min_widths[0] = longest[0] if longest[0] <= _MAX_UNFOLDED_ID_CHARACTERS else _FOLDED_ID_CHARACTERS
        if sum(min_widths) + 2 * (len(min_widths) - 1) > console.width:
            for row in texts:
                for line in _row_lines(columns, row, console.width, unbroken):
                    self.line(line)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column, length, width in zip(columns, longest, min_widths, strict=True):
            table.add_column(column, overflow="fold", width=length if width == length else None, min_width=width)
        for row in texts:
            table.add_row(*(Text(cell) for cell in row))
        with console.capture() as captured:
            console.print(table)
        self.line(captured.get().rstrip("\n"))

    def note(self, text: str, *, always: bool = False) -> None:
        """Print a message on standard error; with --json and no terminal, only if `always`."""
        with suppress(OutputClosed):
            flush()  # keeps the order on a terminal, which shows both streams
        if self.json_logs:
            from backstay.logs import get_logger

            get_logger("backstay.cli").info("user_notified", text=text)
        elif always or not self.as_json or is_terminal(2):
            to_stderr(text)

    def input_note(self, text: str) -> None:
        """Print and keep what was noticed about an input, once however often the input is read."""
        if text not in self.input_notes:
            self.input_notes.append(text)
            self.note(printable(text))

    @contextmanager
    def target(self, path: str | None, *, excluded: Iterable[Path]) -> "Iterator[Callable[[bytes], object]]":
        """Yield a function that writes to a file, completely or not at all, or to standard output if there is no path.

        Raises:
            OutputUnwritable: the file cannot be written, is `excluded` or would be among backups, or the process has no
                standard output.
            OutputClosed: the reader of standard output has closed it.
        """
        if path is not None:
            from backstay.files import write_atomically

            refuse_folder_of_backups(path)
            with write_atomically(Path(path), excluded=excluded) as file:
                yield file.write
        else:
            with self.flushed():
                yield self.write

    @contextmanager
    def flushed(self) -> "Iterator[Output]":
        """Yield this printer, and flush standard output at the end. Raises like `target` without a path."""
        if sys.stdout is None:
            raise OutputUnwritable("Standard output is closed; name a file with -o")
        yield self
        flush()

    def write(self, data: bytes) -> None:
        """Print bytes of the result.

        Raises:
            OutputClosed: the reader has closed it.
            OutputUnwritable: standard output is a file that cannot be written.
        """
        if sys.stdout is None:  # the process was started without one
            return
        try:
            sys.stdout.buffer.write(data)
        except OSError as error:
            raise _output_error(error) from error


def refuse_folder_of_backups(path: str) -> None:
    """Raise OutputUnwritable if a file or folder is, or would be, among backups."""
    from backstay.backup.directory import MARKER

    if any((folder / MARKER).is_file() for folder in (Path(path), Path(path).parent)):
        raise OutputUnwritable(f"{printable(path)} is in a folder of backups; choose another folder", path=path)


def _row_lines(columns: Sequence[str], row: Sequence[str], width: int, unbroken: Collection[str]) -> list[str]:
    """Return a row as lines: the first cell alone, then the others with their columns' names."""
    lines = [row[0]]
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if not cell:
            continue
        text = f"{column.lower()} {cell}"
        if column not in unbroken:
            text = truncate(text, width - 2)
        if len(lines) > 1 and len(lines[-1]) + 2 + len(text) <= width:
            lines[-1] += f", {text}"
        else:
            lines.append(f"  {text}")
    return lines


def flush() -> None:
    """Flush standard output. Raises like `Output.write`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _output_error(error) from error


def to_stderr(text: str) -> None:
    """Print a line on standard error, if it is open."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            encoding = sys.stderr.encoding or "utf-8"
            sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            sys.stderr.flush()


def is_terminal(descriptor: int) -> bool:
    """Return whether standard input (0), output (1) or error (2) is a terminal."""
    stream = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[descriptor]
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _output_error(error: OSError) -> Exception:
    # Otherwise the interpreter would try to write its buffer again at exit, and report the error a second time.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if error.errno in _CLOSED_ERRNOS:
        return OutputClosed()
    return OutputUnwritable(f"Standard output cannot be written: {error.strerror}")
