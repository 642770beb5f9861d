"""What is stored with a generated conversation about its origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from backstay.batch.item import ClaimedItem
from backstay.batch.job import Job
from backstay.batch.outcome import AttemptUsage
from backstay.batch.processor import CALLER
from backstay.library.provenance import GENERATION, PARAMETERS
from backstay.readers.json_depth import METADATA_OUTER_LEVELS, is_too_deep, may_be_too_deep

_SETTINGS = ("max_tokens", "temperature")
# Parameters of providers' APIs that shape an answer. Others may hold anything, even a part of the prompt.
_PARAMETERS = (
    *("frequency_penalty", "min_p", "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty"),
    *("seed", "thinking", "top_k", "top_p", "verbosity"),
)
_OUTER_LEVELS = METADATA_OUTER_LEVELS + 1
_NUL = "\\u0000"  # which a `jsonb` column of an adopted table refuses


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin that all conversations of one run share."""

    settings: Mapping[str, Any]
    """The model with the settings that shape its answers; or the name of another processor.

    If the job makes conversations again, also its name, since they are stored as those of the job that made them first.
    """

    @classmethod
    def from_job(cls, job: Job, revision: int | None) -> Self:
        """Return the origin for a run that follows this revision of the job's recipe, or none."""
        recipe, maker = job.recipe, {"job_id": job.id} if job.regenerates is not None else {}
        if recipe is None or revision is None:
            return cls({**maker, "processor": job.processor if recipe is None else CALLER})
        settings = {name: recipe.get(name) for name in _SETTINGS}
        parameters = {name: recipe.get("parameters", {}).get(name) for name in _PARAMETERS}
        chosen = {**maker, "model": recipe["model"], "recipe_revision": revision, **settings, **parameters}
        return cls({name: value for name, value in chosen.items() if value is not None})

    def metadata(self, claimed: ClaimedItem, usage: AttemptUsage) -> Mapping[str, Any]:
        """Return the metadata of the conversation that an attempt made.

        Parameters that metadata cannot hold are left out: those nested too deeply or with NUL characters.
        """
        generation = {**self.settings, "attempt": claimed.attempt}
        if usage.tokens_in or usage.tokens_out:
            generation.update(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
        if not _may_be_metadata(claimed.parameters_json):
            return {GENERATION: generation}
        # As they were stored: a processor may have changed the ones that it received.
        return {GENERATION: generation, PARAMETERS: orjson.Fragment(claimed.parameters_json)}


def _may_be_metadata(parameters_json: str) -> bool:
    if parameters_json == "{}" or _NUL in parameters_json:
        return False
    return not may_be_too_deep(parameters_json, outer_levels=_OUTER_LEVELS) or not is_too_deep(
        orjson.loads(parameters_json), outer_levels=_OUTER_LEVELS
    )
