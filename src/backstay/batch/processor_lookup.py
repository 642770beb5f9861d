"""The lookup of processors: from what a program passes, or from what a job names."""

from dataclasses import replace
from typing import Protocol

from backstay.batch.job import Job
from backstay.batch.job_recipe import FrozenRecipe, JobRecipe
from backstay.batch.processor import CALLER, CallableProcessor, Processor
from backstay.errors import ProcessorNotPortable, SettingsError
from backstay.library.id_text import quoted_id


class ProcessorSource(Protocol):
    """A source of processors: by name, such as `scripted` or `module:function`, and by recipe."""

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name.

        Raises:
            ProcessorUnusable: no processor has that name, or it cannot be called with an item.
        """

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> JobRecipe:
        """Return a job's stored recipe, with the base URL of its model replaced by `base_url` if that is set.

        Raises:
            RecipeError: this version does not support the recipe, or the base URL is not valid.
        """

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the processor that follows a recipe, without calling the provider yet.

        It may wait for something that the recipe needs, such as a command that prints a key.

        Raises:
            SettingsError: something that the recipe needs from the environment, such as a key, is missing.
        """


class ProcessorLookup:
    """The lookup of the processors for the jobs of one owner."""

    def __init__(self, source: ProcessorSource) -> None:
        self._source = source

    async def from_process(
        self, process: Processor | JobRecipe | str, retry_on: tuple[type[Exception], ...] = ()
    ) -> CallableProcessor:
        """Return the callable of what a program passes: a function, the name of one, or a recipe."""
        if retry_on and isinstance(process, str | JobRecipe):
            raise _retry_on_error(processor_name(process))
        if isinstance(process, JobRecipe):
            return CallableProcessor.from_processor(await self._source.writer(process))
        if isinstance(process, str):
            return CallableProcessor.from_processor(self._source.resolve(process))
        return CallableProcessor.from_processor(process, retry_on=retry_on)

    async def from_job(
        self,
        job: Job,
        process: Processor | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        base_url: str | None = None,
    ) -> CallableProcessor:
        """Return the callable that resumes a job: `process` if it is passed, else what the job names.

        Raises:
            SettingsError: `base_url` or `retry_on` has no effect on this job.
            ProcessorNotPortable: only the program that created the job can resume it.
            ProcessorUnusable, ProcessorNotAllowed, RecipeError, ApiKeyMissing: its processor or recipe cannot be used.
        """
        if base_url is not None and (process is not None or job.recipe is None):
            raise SettingsError(
                f"This run of job {quoted_id(job.id)} uses no recipe, so a base URL has no effect; leave it out",
                setting="base_url",
            )
        if process is not None:
            return CallableProcessor.from_processor(process, retry_on=retry_on)
        if retry_on and job.processor != CALLER:
            raise _retry_on_error(job.processor)
        if job.processor == CALLER:
            raise ProcessorNotPortable(
                f"Job {quoted_id(job.id)} was started with a function of a program; run that program again to "
                "resume it",
                job_id=job.id,
            )
        if job.recipe is not None:
            writer = await self._source.writer(self._source.recipe(job.recipe, base_url=base_url))
            return replace(CallableProcessor.from_processor(writer), revision=job.revision)
        return CallableProcessor.from_processor(self._source.resolve(job.processor))

    def recipe(self, job: Job) -> JobRecipe | None:
        """Return the recipe of a job, by which new items are checked; None if it has none."""
        return self._source.recipe(job.recipe) if job.recipe is not None else None


def processor_name(process: Processor | JobRecipe | str) -> str:
    """Return the processor's name, as it is stored with the job."""
    if isinstance(process, JobRecipe):
        return process.model
    return process if isinstance(process, str) else CALLER


def _retry_on_error(processor: str) -> SettingsError:
    return SettingsError(
        f"retry_on works only with a function of this program: {processor!r} is resolved by name, also by programs "
        "that do not set retry_on; let the processor return Retry instead",
        setting="retry_on",
    )
