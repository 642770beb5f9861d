"""Where a command prints: results on standard output, everything else on standard error."""

import errno
import os
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from backstay.cli.invocation import Invocation
from backstay.cli.text import printable, shortened
from backstay.errors import OutputUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from backstay.schemas import ApiObject

_NARROWEST = 8  # characters of a column that gives way
_LONGEST_ID = 44  # of those we make; a job's name may be longer, and is folded then
_FOLDED_ID = 30
_GONE = (errno.EPIPE, errno.EIO)  # EIO: the terminal was closed


class OutputClosed(Exception):
    """Whoever read standard output has stopped: nothing more to print, and nobody's fault."""


class Output:
    """Prints for one command."""

    def __init__(self, invocation: Invocation, *, as_json: bool) -> None:
        self.as_json = as_json
        self.json_logs = invocation.json_logs

    def line(self, text: str = "") -> None:
        """Print a line of the result for people; with --json there is none."""
        if not self.as_json:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            self.write(f"{text}\n".encode(encoding, "backslashreplace"))

    def answer(self, shown: "ApiObject") -> None:
        """Print the result as JSON."""
        self.write(shown.to_json() + b"\n")

    async def answer_each(
        self,
        name: str,
        shown: "AsyncIterator[ApiObject]",
        *,
        then: "Mapping[str, Sequence[ApiObject]]" = MappingProxyType({}),
    ) -> None:
        """Print `{name: […]}` as the objects come, and `then` other lists.

        An error before the first of the objects prints nothing.
        """
        separator = f'{{"{name}":['.encode()
        async for one in shown:
            self.write(separator + one.to_json())
            separator = b",\n"
        self.write((b"" if separator == b",\n" else separator) + b"]")
        for other, objects in then.items():
            self.write(f',"{other}":['.encode() + b",\n".join(one.to_json() for one in objects) + b"]")
        self.write(b"}\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, whole: Collection[str] = ()) -> None:
        """Print rows: as a table on a terminal, elsewhere one a line, tabs between whole cells and no heading.

        Ids in the first column, and what is in those that are to be `whole`, are never broken: where there is no room
        for a table, each row takes a few lines.
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
        # Ids and times are to be copied and compared, so they stay whole, and the others give way.
        longest = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
        least = [
            length if column in whole else min(length, max(len(column), _NARROWEST))
            for column, length in zip(columns, longest, strict=True)
        ]
        least[0] = longest[0] if longest[0] <= _LONGEST_ID else _FOLDED_ID
        if sum(least) + 2 * (len(least) - 1) > console.width:
            for row in texts:
                for line in _in_lines(columns, row, console.width, whole):
                    self.line(line)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column, length, width in zip(columns, longest, least, strict=True):
            table.add_column(column, overflow="fold", width=length if width == length else None, min_width=width)
        for row in texts:
            table.add_row(*(Text(cell) for cell in row))
        with console.capture() as captured:
            console.print(table)
        self.line(captured.get().rstrip("\n"))

    def note(self, text: str, *, always: bool = False) -> None:
        """Tell people something that is not the result; a program that asked for JSON hears only what is `always`."""
        with suppress(OutputClosed):
            flush()  # on a terminal both streams meet: what was printed first stands first
        if self.json_logs:
            from backstay.logs import get_logger

            get_logger("backstay.cli").info("note", text=text)
        elif always or not self.as_json or is_terminal(2):
            to_stderr(text)

    def stream(self) -> "Callable[[bytes], object]":
        """Return what prints bytes of a result that is all there is to the command.

        Raises:
            OutputUnwritable: the process was started without a standard output.
        """
        if sys.stdout is None:
            raise OutputUnwritable("Standard output is closed; say where to write with -o")
        return self.write

    def write(self, data: bytes) -> None:
        """Print bytes of the result.

        Raises:
            OutputClosed: nobody reads any more.
            OutputUnwritable: standard output is a file that cannot be written.
        """
        if sys.stdout is None:  # the process was started without one
            return
        try:
            sys.stdout.buffer.write(data)
        except OSError as error:
            raise _unwritable(error) from error


def _in_lines(columns: Sequence[str], row: Sequence[str], width: int, whole: Collection[str]) -> list[str]:
    """Return a row with its first cell on a line of its own, and the others, named, on as many as they need."""
    lines = [row[0]]
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if not cell:
            continue
        said = f"{column.lower()} {cell}"
        if column not in whole:
            said = shortened(said, width - 2)
        if len(lines) > 1 and len(lines[-1]) + 2 + len(said) <= width:
            lines[-1] += f", {said}"
        else:
            lines.append(f"  {said}")
    return lines


def flush() -> None:
    """Have everything printed reach standard output; raises as `Output.write`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _unwritable(error) from error


def to_stderr(text: str) -> None:
    """Print a line on standard error, if there still is one."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            encoding = sys.stderr.encoding or "utf-8"
            sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            sys.stderr.flush()


def is_terminal(descriptor: int) -> bool:
    """Whether standard input (0), output (1) or error (2) is a terminal."""
    stream = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[descriptor]
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _unwritable(error: OSError) -> Exception:
    # What is still buffered would be tried again, and complained about, when the interpreter ends.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if error.errno in _GONE:
        return OutputClosed()
    return OutputUnwritable(f"Standard output cannot be written: {error.strerror}")
