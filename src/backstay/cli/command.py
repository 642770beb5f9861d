"""The decorator that makes a function a command, and the session that each command receives."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from backstay.cli import reminders
from backstay.cli.exit_status import ExitStatus
from backstay.cli.interruption import interrupt_on_sigterm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output, is_terminal
from backstay.cli.progress import ProgressView, backup_progress_view
from backstay.errors import ConfirmationNeeded

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import BackupProgress


T = TypeVar("T")


class CommandSession:
    """The global options, the printer and, once it is opened, the library of one command."""

    def __init__(self, invocation: Invocation, out: Output) -> None:
        self.invocation = invocation
        self.out = out
        self._backstay: Backstay | None = None
        self._closing = AsyncExitStack()

    async def open(self, *, create: bool = False) -> "Backstay":
        """Return the library, opened if necessary. It is closed when the command ends."""
        if self._backstay is None:
            self._backstay = await self._closing.enter_async_context(self.invocation.open(create=create))
        return self._backstay

    @functools.cached_property
    def backup_progress(self) -> "ProgressView[BackupProgress]":
        """The progress view for a backup, a delete or a restore."""
        return backup_progress_view(self.out)

    async def close(self) -> None:
        """Close the library while the command waits for a person, so that no connection waits too."""
        self._backstay = None
        await self._closing.aclose()

    async def confirm(self, question: str, *, options: str = "--yes", **context: Any) -> None:
        """Close the library, ask on the terminal, and return if the answer is yes.

        Raises:
            ConfirmationNeeded: there is no terminal to ask on; the message names `options`, which confirm as well.
            typer.Abort: the answer was no.
        """
        await self.close()
        if not (is_terminal(0) and is_terminal(2)):
            raise ConfirmationNeeded(
                f"{question}? There is no terminal to confirm on; confirm with {options}", **context
            )
        typer.confirm(f"{question}?", abort=True, err=True)

    async def remind(self, *, except_job: str | None = None) -> None:
        """Print one line about unfinished jobs, other than `except_job`, if the last reminder was long ago."""
        if self._backstay is not None:
            await reminders.remind(self.invocation, self.out, self._backstay, except_job=except_job)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the command, or a part of it, and close what it opened."""
        try:
            async with self._closing:
                return await work
        finally:
            self._backstay = None


_Database = Annotated[str | None, typer.Option("--database", hidden=True)]

Command = Callable[..., int | Coroutine[Any, Any, int | None] | None]
WhenInterrupted = str | Callable[[CommandSession], None]


def command(*, when_interrupted: WhenInterrupted | None = None) -> Callable[[Command], Callable[..., int]]:
    """Make a function a command of Typer.

    It receives a session first, and may be a coroutine function. A parameter whose type is a dataclass stands for
    several options, one for each field. `--json` is added as the last option; the global option `--database` is
    accepted too, though only the help of `backstay` shows it. With `when_interrupted`, SIGTERM and
    Ctrl-C print that text, or call that function, and end the command with INTERRUPTED.
    """

    def decorate(function: Command) -> Callable[..., int]:
        _, *parameters = inspect.signature(function).parameters.values()

        @functools.wraps(function)
        def run(context: typer.Context, *, database: str | None, as_json: bool, **options: Any) -> int:
            invocation = Invocation.from_context(context)
            if database is not None:
                invocation.database = database
            session = CommandSession(invocation, Output(invocation, as_json=as_json))
            arguments: Any = {parameter.name: _collapse(parameter, options) for parameter in parameters}
            try:
                with interrupt_on_sigterm() if when_interrupted is not None else nullcontext():
                    result = function(session, **arguments)
                    status = run_async(session.run(result)) if isinstance(result, Coroutine) else result
            except KeyboardInterrupt:
                if when_interrupted is None:
                    raise
                _report_interruption(session, when_interrupted)
                return ExitStatus.INTERRUPTED
            return status or ExitStatus.DONE

        _set_signature(run, [inner for parameter in parameters for inner in _expand(parameter)])
        return run

    return decorate


def _report_interruption(session: CommandSession, report: WhenInterrupted) -> None:
    if isinstance(report, str):
        session.out.note(report, always=True)
    else:
        report(session)


def _expand(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the parameter or, if its type is a dataclass, one parameter for each field."""
    if not is_dataclass(parameter.annotation):
        return [parameter]
    return [inner for field in _fields(parameter.annotation) for inner in _expand(field)]


def _collapse(parameter: inspect.Parameter, options: Mapping[str, Any]) -> Any:
    """Return the parameter's value; if its type is a dataclass, an instance made from its options."""
    group = parameter.annotation
    if not is_dataclass(group):
        return options[parameter.name]
    return group(**{field.name: _collapse(field, options) for field in _fields(group)})  # type: ignore[operator]  # a class


def _fields(group: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(group).parameters.values())


def _set_signature(run: Callable[..., int], options: list[inspect.Parameter]) -> None:
    """Set what Typer reads: the context, the options, `--database` and `--json`."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(option.replace(kind=keyword) for option in options),
        inspect.Parameter("database", keyword, default=None, annotation=_Database),
        inspect.Parameter("as_json", keyword, default=False, annotation=AsJson),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
