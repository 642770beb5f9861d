"""The global options: database, owner and log format."""

import shlex
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer

from backstay.cli.durations import parse_duration
from backstay.database_parameters import without_password
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    import asyncio

    from backstay.app import Backstay
    from backstay.generate.key_source import KeySources
    from backstay.settings import Settings

T = TypeVar("T")

_CANCEL_SECONDS = 1.0  # to wait for cancelled tasks


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class Invocation:
    """One call of the command line. `main` creates it; the global options and some commands fill it."""

    database: str | None = None
    owner: str | None = None
    json_logs: bool = False
    rpm: int | None = None
    tpm: int | None = None
    patience_seconds: float | None = None
    base_url: str | None = None
    """Endpoint that `resume` uses for this run only."""
    keys: "KeySources | None" = None
    """The keys that the command read before it opened the library."""
    _resume_options: list[str] = field(default_factory=list)
    """Options that the printed command to resume the job has to repeat."""

    @classmethod
    def from_context(cls, context: typer.Context) -> "Invocation":
        return cast("Invocation", context.find_root().obj)

    def set_rate_limits(self, rpm: int | None, tpm: int | None, patience: str | None) -> None:
        """Set the rate limits and the patience of this run. Raises SettingsError."""
        settings = self.settings()
        self.rpm, self.tpm = rpm or None, tpm or None
        # The job stores its limits; the account's limit from the settings, if lower, has to be raised on each run.
        self._resume_options = [
            word
            for option, value, account_limit in (("--rpm", rpm, settings.rpm), ("--tpm", tpm, settings.tpm))
            if value is not None and account_limit is not None and value > account_limit
            for word in (option, str(value))
        ]
        if patience is not None:
            self.patience_seconds = parse_duration(patience, option="--patience").total_seconds()

    def open(self, *, create: bool = False) -> "Backstay":
        """Return the library that these options name, not yet opened. Only `run` and an import set `create`."""
        from backstay.app import Backstay

        return Backstay(self.settings(), create=create, keys=self.keys)

    def settings(self) -> "Settings":
        """Load the settings, overridden by these options."""
        from backstay.settings import load

        return load(
            database_url=self.database,
            owner=self.owner,
            rpm=self.rpm,
            tpm=self.tpm,
            patience_seconds=self.patience_seconds,
        )

    def command(self, *words: str) -> str:
        """Return a command line for the same library, ready to paste."""
        line = ["backstay"]
        if self.database is not None:
            line += ["--database", without_password(self.database)]
        if self.owner is not None:
            line += ["--owner", self.owner]
        return shlex.join([*line, *words])

    def job_command(self, verb: str, name: str, *options: str) -> str:
        """Return a command line for one job, ready to paste."""
        return self.command(verb, printed_id(name), *options)

    def resume_command(self, name: str, *options: str) -> str:
        """Return the command line that resumes the job, with the options that the job does not store."""
        endpoint = ["--base-url", self.base_url] if self.base_url else []
        return self.job_command("resume", name, *options, *endpoint, *self._resume_options)


def run_async(work: Coroutine[Any, Any, T], on_start: "Callable[[asyncio.AbstractEventLoop], None] | None" = None) -> T:
    """Run a coroutine in a new event loop, which `on_start` receives first.

    Unlike `asyncio.run`, this waits only a moment for abandoned tasks: a processor that ignores its cancellation must
    not keep the command from ending.
    """
    import asyncio

    loop = asyncio.new_event_loop()
    if on_start is not None:
        on_start(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.wait(pending, timeout=_CANCEL_SECONDS))
        if all(task.done() for task in pending):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        else:
            loop.set_exception_handler(lambda *_: None)  # the loop would log the tasks when the process ends
