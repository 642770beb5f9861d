"""`holdfast conversations export`: training files out of what is kept."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import hints
from holdfast.cli.invocation import Invocation, in_loop
from holdfast.cli.options import AsJson
from holdfast.cli.output import Output
from holdfast.cli.text import counted, plain
from holdfast.errors import EmptySelection, InputNotFound, InputUnreadable, SettingsError

if TYPE_CHECKING:
    from holdfast.library.selection import Selection

Write = Callable[[bytes], object]


class FormatName(StrEnum):
    """The formats of `holdfast.library.formats`, known without loading them."""

    MESSAGES = "messages"
    NATIVE = "native"
    SHAREGPT = "sharegpt"
    CSV = "csv"


def export(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="IDS", help="Ids of conversations.")] = None,
    ids_file: Annotated[
        str | None, typer.Option(metavar="F", help="File with an id a line; - for standard input.")
    ] = None,
    job: Annotated[str | None, typer.Option(metavar="J", help="Only those that this job made.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    form: Annotated[
        FormatName, typer.Option("--format", help="messages is OpenAI chat JSONL; native has everything known.")
    ] = FormatName.MESSAGES,
    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write, whole or not at all [default: standard output]."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write conversations for training, oldest first. Say which: ids, a job, or --all.

    \b
    Examples:
      holdfast conversations export --job topics -o topics.messages.jsonl
      holdfast conversations export --all --format sharegpt | zstd > all.jsonl.zst
      holdfast conversations export --ids-file good.txt --format csv -o good.csv
    """
    invocation = Invocation.of(context)
    path = None if target in (None, "-") else target
    out = Output(invocation, as_json=as_json)
    if as_json and path is None:
        raise SettingsError(
            "With --json say where to write with -o: standard output is for the answer", setting="output"
        )
    # Not within the event loop: Ctrl-C must end the reading of standard input.
    chosen = _selection(ids or [], ids_file, job, everything=everything)

    async def do() -> None:
        from holdfast.library.formats import FORMATS

        shape = FORMATS[form]()
        number = 0
        async with invocation.open() as hold:
            with _target(path, out, hold.files) as write:
                write(shape.head())
                async for conversation in hold.conversations.export(chosen):
                    write(shape.chunk(conversation))
                    number += 1
                if path is not None and not number:
                    # Within: a mistyped name must not leave an empty file where a good one was.
                    raise EmptySelection(f"No conversation is selected; {plain(path)} is left as it was", path=path)
            _report(out, number, form, path)
            await hints.remind(invocation, out, hold)

    in_loop(do())


def _selection(ids: list[str], ids_file: str | None, job: str | None, *, everything: bool) -> "Selection":
    from holdfast.library.selection import Selection

    if ids_file is not None:
        listed = _read_ids(ids_file)
        if not listed:
            raise EmptySelection(f"{plain(ids_file)} names no conversations", path=ids_file)
        ids = [*ids, *listed]
    if everything and (ids or job is not None):
        raise SettingsError("--all is everything: give it, or ids, or a job", setting="all")
    return Selection(tuple(ids), job, everything).check()


def _read_ids(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputNotFound(f"{plain(name)}: there is no such file", path=name) from error
    except OSError as error:
        raise InputUnreadable(f"{plain(name)} cannot be read: {error.strerror}", path=name) from error
    except UnicodeDecodeError as error:
        raise InputUnreadable(f"{plain(name)}: not UTF-8 text", path=name) from error
    return [line.strip() for line in lines if line.strip()]


@contextmanager
def _target(path: str | None, out: Output, spared: Sequence[Path]) -> Iterator[Write]:
    if path is None:
        yield out.write
        return
    from holdfast.files import written_whole

    with written_whole(Path(path), spared=spared) as file:
        yield file.write


def _report(out: Output, number: int, form: FormatName, path: str | None) -> None:
    if out.as_json:
        from holdfast.objects import ExportOut

        out.answer(ExportOut(exported=number, format=form, path=path))
    else:
        where = f" to {plain(path)}" if path is not None else ""
        out.note(f"{counted(number, 'conversation')} exported{where}.")
