"""The recipe or processor that a request names for a new job."""

from backstay.errors import ProcessorNotAllowed
from backstay.generate.allowlist import AllowedEntry
from backstay.generate.recipe import Recipe
from backstay.server.problems import Problem


def requested_processor(allowed: AllowedEntry, *, recipe: str | None, processor: str | None) -> Recipe | str:
    """Return the recipe, or the name of the processor, that a request names.

    Raises:
        Problem: the request names neither, or both.
        ProcessorNotAllowed: the settings do not name the recipe or processor.
    """
    if processor is not None and recipe is None:
        if processor not in allowed.processors:
            raise ProcessorNotAllowed(
                f"This server has no processor {processor[:200]!r}; /api/recipes lists those it has",
                processor=processor[:200],
            )
        return processor
    if recipe is not None and processor is None:
        if recipe not in allowed.recipes:
            raise ProcessorNotAllowed(f"This server has no recipe {recipe[:200]!r}; /api/recipes lists those it has")
        return allowed.recipes[recipe]
    message = "Give either recipe or processor"
    raise Problem(422, "invalid_request", message, fields=[{"field": "recipe", "message": message}])
