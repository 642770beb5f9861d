"""Where a command prints: results on standard output, everything else on standard error."""

import errno
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.cli.invocation import Invocation
from holdfast.cli.text import plain
from holdfast.errors import OutputUnwritable

if TYPE_CHECKING:
    from holdfast.objects import Object

_GONE = (errno.EPIPE, errno.EIO)  # EIO: the terminal was closed


class ReaderGone(Exception):
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

    def answer(self, shown: "Object") -> None:
        """Print the result as JSON."""
        self.write(shown.to_json() + b"\n")

    async def answer_each(self, name: str, shown: "AsyncIterator[Object]") -> None:
        """Print `{name: […]}` as the objects come; an error before the first of them prints nothing."""
        separator = f'{{"{name}":['.encode()
        async for one in shown:
            self.write(separator + one.to_json())
            separator = b",\n"
        self.write((b"" if separator == b",\n" else separator) + b"]}\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows: as a table on a terminal, elsewhere one a line, tabs between whole cells and no heading."""
        texts = [[plain(cell) for cell in row] for row in rows]
        if not is_terminal(1):
            for row in texts:
                self.line("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            longest = max((len(row[number]) for row in texts), default=0)
            # The first names the row: it is to be copied, so the others give way.
            table.add_column(column, overflow="fold", min_width=min(longest, 40) if number == 0 else None)
        for row in texts:
            table.add_row(*(Text(cell) for cell in row))
        console = Console()
        with console.capture() as captured:
            console.print(table)
        self.line(captured.get().rstrip("\n"))

    def note(self, text: str, *, always: bool = False) -> None:
        """Tell people something that is not the result; a program that asked for JSON hears only what is `always`."""
        with suppress(ReaderGone):
            flush()  # on a terminal both streams meet: what was printed first stands first
        if self.json_logs:
            from holdfast.logs import get_logger

            get_logger("holdfast.cli").info("note", text=text)
        elif always or not self.as_json or is_terminal(2):
            to_stderr(text)

    def write(self, data: bytes) -> None:
        """Print bytes of the result.

        Raises:
            ReaderGone: nobody reads any more.
            OutputUnwritable: standard output is a file that cannot be written.
        """
        if sys.stdout is None:  # the process was started without one
            return
        try:
            sys.stdout.buffer.write(data)
        except OSError as error:
            raise _unwritable(error) from error


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
        return ReaderGone()
    return OutputUnwritable(f"Standard output cannot be written: {error.strerror}")
