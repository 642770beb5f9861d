"""The decorator of commands: option groups, the library of a session, and interruption."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from backstay.cli.command import CommandSession, command
from backstay.cli.exit_status import ExitStatus
from backstay.cli.invocation import Invocation
from backstay.cli.output import Output
from backstay.errors import ConfirmationNeeded


@dataclass(frozen=True, kw_only=True)
class _Inner:
    colour: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Outer:
    size: Annotated[int, typer.Option("--size", "-s")] = 1
    inner: _Inner
    bold: bool = False


class _Library:
    """A library that counts how often it is opened, and knows whether it is open."""

    def __init__(self) -> None:
        self.opened = 0
        self.is_open = False

    async def __aenter__(self) -> "_Library":
        self.opened += 1
        self.is_open = True
        return self

    async def __aexit__(self, *_raised: object) -> None:
        self.is_open = False


@pytest.fixture
def library(monkeypatch):
    library = _Library()
    monkeypatch.setattr(Invocation, "open", lambda _self, *, create=False: library)
    return library


def _run(function, *words: str) -> int:
    app = typer.Typer()
    app.command()(function)
    return typer.main.get_command(app).main(args=list(words), standalone_mode=False, obj=Invocation())


def test_a_dataclass_stands_for_its_options():
    """A parameter that is a dataclass is filled from options of its fields, in their order, and `--json` comes last."""
    received = []

    @command()
    def paint(session: CommandSession, wall: str, *, style: _Outer, twice: bool = False) -> None:
        received.append((wall, style, twice, session.out.as_json))

    _run(paint, "north", "--colour", "red", "-s", "3", "--json")

    assert received == [("north", _Outer(size=3, inner=_Inner(colour="red"), bold=False), False, True)]
    assert list(paint.__annotations__) == ["context", "wall", "size", "colour", "bold", "twice", "database", "as_json"]


def test_the_library_is_closed_when_the_command_ends(library):
    """A command opens the library once, however often it asks for it, and leaves it closed, even if it fails."""
    seen = []

    @command()
    async def fail(session: CommandSession) -> None:
        seen.append(await session.open() is await session.open() and library.is_open)
        raise LookupError

    with pytest.raises(LookupError):
        _run(fail)

    assert seen == [True]
    assert (library.opened, library.is_open) == (1, False)


async def test_no_library_is_open_while_people_are_asked(library):
    """A confirmation closes the library first; the next step opens it again."""
    invocation = Invocation()
    session = CommandSession(invocation, Output(invocation, as_json=False))
    await session.open()

    with pytest.raises(ConfirmationNeeded):
        await session.confirm("Delete all")

    assert not library.is_open
    await session.open()
    assert (library.opened, library.is_open) == (2, True)


@pytest.mark.parametrize("report", ["Interrupted; nothing was done.", lambda session: session.out.note("by function")])
def test_an_interrupted_command_says_what_it_leaves(capsys, report):
    """A command with `when_interrupted` prints that text, or calls that function, and ends with INTERRUPTED."""

    @command(when_interrupted=report)
    async def wait(session: CommandSession) -> None:
        raise KeyboardInterrupt

    assert _run(wait) == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == (f"{report}\n" if isinstance(report, str) else "by function\n")


def test_an_interrupted_command_without_a_report_is_silent(capsys):
    """Without `when_interrupted`, an interrupted command ends with INTERRUPTED and prints nothing."""

    @command()
    async def wait(session: CommandSession) -> None:
        raise KeyboardInterrupt

    assert _run(wait) == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == ""
