"""The decorator of commands, and what it passes to each: `--json`, the library, confirmation and interruption."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

import typer

from backstay.cli import reminders
from backstay.cli.exits import ExitStatus
from backstay.cli.interruption import interrupt_on_sigterm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output, is_terminal
from backstay.cli.progress import ProgressView, backup_progress_view
from backstay.errors import ConfirmationNeeded

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import BackupProgress


class CommandSession:
    """What a command works with: the options before it, its printer, and the library once it is opened."""

    def __init__(self, invocation: Invocation, out: Output) -> None:
        self.invocation = invocation
        self.out = out
        self._backstay: Backstay | None = None
        self._closing = AsyncExitStack()

    async def open(self, *, create: bool = False) -> "Backstay":
        """Return the library, and open it if it is closed. It is closed when the command ends."""
        if self._backstay is None:
            self._backstay = await self._closing.enter_async_context(self.invocation.open(create=create))
        return self._backstay

    @functools.cached_property
    def backup_progress(self) -> "ProgressView[BackupProgress]":
        """The view of the progress of a backup, a delete or a restore."""
        return backup_progress_view(self.out)

    async def confirm(self, question: str, **context: Any) -> None:
        """Ask on the terminal, and return if the answer is yes. Closes the library: no connection waits for people.

        Raises:
            ConfirmationNeeded: there is no terminal to ask on.
            typer.Abort: the answer was no.
        """
        self._backstay = None
        await self._closing.aclose()
        if not (is_terminal(0) and is_terminal(2)):
            raise ConfirmationNeeded(f"{question}? There is no terminal to confirm on; confirm with --yes", **context)
        typer.confirm(f"{question}?", abort=True, err=True)

    async def remind(self, *, about: str | None = None) -> None:
        """Print one line about unfinished jobs, other than the job `about`, if the last one was long ago."""
        if self._backstay is not None:
            await reminders.remind(self.invocation, self.out, self._backstay, about=about)

    async def run(self, work: Coroutine[Any, Any, int | None]) -> int | None:
        """Await the command, and close what it opened."""
        async with self._closing:
            return await work


Command = Callable[..., int | Coroutine[Any, Any, int | None] | None]
WhenInterrupted = str | Callable[[CommandSession], None]


def command(*, when_interrupted: WhenInterrupted | None = None) -> Callable[[Command], Callable[..., int]]:
    """Make a function a command of Typer.

    It receives a session first, and may be a coroutine function. A parameter that is a dataclass stands for the options
    that are the dataclass's fields. `--json` is added as the last option. With `when_interrupted`, SIGTERM and Ctrl-C
    print this text, or call this function, and end the command with INTERRUPTED.
    """

    def decorate(function: Command) -> Callable[..., int]:
        _, *parameters = inspect.signature(function).parameters.values()

        @functools.wraps(function)
        def run(context: typer.Context, *, as_json: bool, **options: Any) -> int:
            invocation = Invocation.from_context(context)
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
    """Return the parameter, or those of its dataclass."""
    if not is_dataclass(parameter.annotation):
        return [parameter]
    return [inner for field in _fields(parameter.annotation) for inner in _expand(field)]


def _collapse(parameter: inspect.Parameter, options: Mapping[str, Any]) -> Any:
    """Return the value of the parameter; if it is a dataclass, make it of the options that it stands for."""
    group = parameter.annotation
    if not is_dataclass(group):
        return options[parameter.name]
    return group(**{field.name: _collapse(field, options) for field in _fields(group)})  # type: ignore[operator]  # a class


def _fields(group: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(group).parameters.values())


def _set_signature(run: Callable[..., int], options: list[inspect.Parameter]) -> None:
    """Set what Typer reads: the context, the options, and `--json`."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(option.replace(kind=keyword) for option in options),
        inspect.Parameter("as_json", keyword, default=False, annotation=AsJson),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
