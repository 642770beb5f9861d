"""Permission to resume a job: the settings allow it, or a command on the user's own machine created it."""

import os
import shlex
import stat
from dataclasses import dataclass, replace
from functools import cached_property

from backstay.batch.job import Job
from backstay.batch.processor import CALLER
from backstay.database_parameters import without_password
from backstay.errors import ConfirmationNeeded, RecipeError, SettingsError
from backstay.generate import scripted
from backstay.generate.allowlist import AllowedEntry
from backstay.generate.processor_loader import ProcessorLoader
from backstay.generate.recipe import Recipe
from backstay.library.id_text import printed_id, quoted_id
from backstay.server.settings import ServerSettings
from backstay.settings import Settings, load


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """The ways to resume a job."""

    possible: bool
    """Whether this server may resume the job."""
    confirm: str | None = None
    """The function that this server would call, which a request must repeat."""
    reason: str | None = None
    """Why this server may not resume the job."""
    command: str | None = None
    """The command to run on the server's machine instead, if there is one."""


class ResumePermission:
    """The rules for what may run for a job, decided from the job's current row.

    A user with the local token of a server on their own machine can run commands there anyway, so that server may do
    what `backstay resume` does. A request cannot choose what runs: the job's row in the user's own file does.
    """

    def __init__(
        self, *, settings: Settings, server_settings: ServerSettings, allowed: AllowedEntry, is_standalone: bool
    ) -> None:
        self._settings = settings
        self._server_settings = server_settings
        self._allowed = allowed
        self._is_standalone = is_standalone
        self._fingerprints = frozenset(recipe.fingerprint for recipe in allowed.recipes.values())

    def options(self, job: Job) -> ResumeOptions:
        """Return the ways to resume a job."""
        if job.processor == CALLER:
            return ResumeOptions(
                False,
                reason="Its conversations come from a program's own function, so only that program can resume it. "
                "Run the program again",
            )
        if self._is_in_settings(job):
            return ResumeOptions(True)
        if self.is_own_machine():
            return ResumeOptions(True, confirm=job.processor if self._is_function(job) else None)
        return ResumeOptions(
            False,
            reason=f"This server does not run {job.processor}: its settings do not name "
            f"{'the recipe of this batch' if job.recipe is not None else 'it'}. Resume it where it was started",
            command=self._resume_command(job),
        )

    def allowed_for(self, job: Job, confirm: str | None = None) -> AllowedEntry:
        """Return what may run for a job: what the settings name and, if it may be resumed here, what its row names.

        Raises:
            ConfirmationNeeded: the job calls a function that neither the settings nor `confirm` names.
            RecipeError: this version does not understand the job's recipe.
        """
        options = self.options(job)
        if not options.possible or self._is_in_settings(job):
            return self._allowed
        if job.recipe is not None:
            recipe = ProcessorLoader().recipe(job.recipe)
            return replace(self._allowed, recipes={**self._allowed.recipes, "": recipe})
        if options.confirm is not None and confirm != options.confirm:
            raise ConfirmationNeeded(
                f"Job {quoted_id(job.id)} calls the function {job.processor} of this server's folder, which the "
                "server's settings do not name. To have it called, repeat its name in `confirm`",
                job_id=job.id,
                processor=job.processor,
            )
        return replace(self._allowed, processors=(*self._allowed.processors, job.processor))

    def allowed_with(self, recipe: Recipe) -> AllowedEntry:
        """Return what may run for a job whose recipe is to be revised: any recipe on the user's own machine."""
        if recipe.fingerprint in self._fingerprints or not self.is_own_machine():
            return self._allowed
        return replace(self._allowed, recipes={**self._allowed.recipes, "": recipe})

    def _is_in_settings(self, job: Job) -> bool:
        if job.recipe is None:
            return job.processor in self._allowed.processors
        try:
            return ProcessorLoader().recipe(job.recipe).fingerprint in self._fingerprints
        except RecipeError:
            return False

    @staticmethod
    def _is_function(job: Job) -> bool:
        return job.recipe is None and job.processor.partition(":")[0] != scripted.NAME

    def is_own_machine(self) -> bool:
        """Return whether this server serves the user of its machine only, who may follow any recipe."""
        server_settings = self._server_settings
        is_own_server = (
            self._is_standalone and server_settings.effective_auth == "token" and server_settings.is_loopback
        )
        is_for_others = bool(server_settings.allowed_hosts or server_settings.cors_origins)
        return is_own_server and not is_for_others and self._settings.postgres_url is None and self._has_own_file()

    def _has_own_file(self) -> bool:
        try:
            status = self._settings.database.stat()
        except OSError:
            return False
        return status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH

    def _resume_command(self, job: Job) -> str:
        database, default_owner = self._command_defaults
        owner = ["--owner", job.owner] if job.owner != default_owner else []
        return shlex.join(["backstay", *database, *owner, "resume", printed_id(job.id)])

    @cached_property
    def _command_defaults(self) -> tuple[list[str], str]:
        """The option for the database, if a command in the server's folder needs it, and the owner without `--owner`.

        Users with a JSON Web Token may not see where the database is.
        """
        settings = self._settings
        try:
            defaults = load()
        except SettingsError:  # a command reports this as well
            defaults = Settings()
        is_default = (settings.database_url, settings.here) == (defaults.database_url, defaults.here)
        if is_default or self._server_settings.effective_auth == "jwt":
            return [], defaults.owner
        address = settings.postgres_url
        return ["--database", without_password(address) if address else str(settings.database)], defaults.owner
