"""What the options before the command say: where, whose, and how to log."""

import re
import shlex
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer

from backstay.cli.durations import parse_duration
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    import asyncio

    from backstay.app import Backstay
    from backstay.generate.key_source import KeySources
    from backstay.settings import Settings

T = TypeVar("T")

_PATIENCE_SECONDS = 1.0
_SECRETS = re.compile(r"(?<=[?&])(?:ssl)?password=[^&]*&?|(?<=[?&])(?:oauth_client_secret|scram_\w+_key)=[^&]*&?")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class Invocation:
    """One call of the command. `main` makes it, the options before the command fill it in, commands read it."""

    database: str | None = None
    owner: str | None = None
    json_logs: bool = False
    rpm: int | None = None
    tpm: int | None = None
    patience_seconds: float | None = None
    base_url: str | None = None
    """Where `resume` asks the model in this run alone."""
    keys: "KeySources | None" = None
    """The keys that a command has read before it opens the library."""
    _repeated: list[str] = field(default_factory=list)
    """Options that the next run needs again."""

    @classmethod
    def from_context(cls, context: typer.Context) -> "Invocation":
        return cast("Invocation", context.find_root().obj)

    def set_rate_limits(self, rpm: int | None, tpm: int | None, patience: str | None) -> None:
        """Take the options that say how a provider is asked. Raises SettingsError."""
        usual = self.settings()
        self.rpm, self.tpm = rpm or None, tpm or None
        # The job keeps what was given. An account that is bounded lower by the settings has to be given it again.
        self._repeated = [
            word
            for option, given, bound in (("--rpm", rpm, usual.rpm), ("--tpm", tpm, usual.tpm))
            if given is not None and bound is not None and given > bound
            for word in (option, str(given))
        ]
        if patience is not None:
            self.patience_seconds = parse_duration(patience, option="--patience").total_seconds()

    def open(self, *, create: bool = False) -> "Backstay":
        """Name the library these options mean; only `run` and an import may create one."""
        from backstay.app import Backstay

        return Backstay(self.settings(), create=create, keys=self.keys)

    def settings(self) -> "Settings":
        """Gather the settings that hold with these options."""
        from backstay.settings import load

        return load(
            database_url=self.database,
            owner=self.owner,
            rpm=self.rpm,
            tpm=self.tpm,
            patience_seconds=self.patience_seconds,
        )

    def command(self, *words: str) -> str:
        """Return a command as one would type it to reach the same library, ready to be pasted."""
        line = ["backstay"]
        if self.database is not None:
            line += ["--database", _without_password(self.database)]
        if self.owner is not None:
            line += ["--owner", self.owner]
        return shlex.join([*line, *words])

    def about(self, verb: str, name: str, *options: str) -> str:
        """Return a command about one job."""
        return self.command(verb, printed_id(name), *options)

    def resuming(self, name: str, *options: str) -> str:
        """Return the command that continues this run, with the options that no job keeps."""
        moved = ["--base-url", self.base_url] if self.base_url else []
        return self.about("resume", name, *options, *moved, *self._repeated)


def _without_password(database: str) -> str:
    """Return a database as it may be shown: whoever pastes the command gives the password anew, as libpq takes it."""
    if not re.match(r"postgres(ql)?(\+\w+)?://", database):
        return database
    shown = re.sub(r"^([\w+]+://[^:/@?]*):[^/?]*@", r"\1@", database)
    return _SECRETS.sub("", shown).rstrip("?&")


def run_async(work: Coroutine[Any, Any, T], show: "Callable[[asyncio.AbstractEventLoop], None] | None" = None) -> T:
    """Run what a command does in an event loop of its own, which `show` is shown first.

    Unlike `asyncio.run`, this does not wait for ever: a processor's call that was abandoned and does not heed its
    cancellation must not keep the command from ending.
    """
    import asyncio

    loop = asyncio.new_event_loop()
    if show is not None:
        show(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_PATIENCE_SECONDS))
        if all(task.done() for task in left):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        else:
            loop.set_exception_handler(lambda *_: None)  # it would complain of them when the process ends
