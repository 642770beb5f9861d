"""The recipe or processor of a new job, from the server's settings."""

from backstay.errors import ProcessorNotAllowed
from backstay.generate.recipe import Recipe
from backstay.server.problems import Problem
from backstay.server.state import AppState


def processor_from(state: AppState, *, recipe: str | None, processor: str | None) -> Recipe | str:
    """Return the recipe, or the name of the processor, that a request names.

    Raises:
        Problem: the request names neither, or both.
        ProcessorNotAllowed: the settings do not name the recipe or processor.
    """
    if (recipe is None) == (processor is None):
        message = "Give either recipe or processor"
        raise Problem(422, "invalid_request", message, fields=[{"field": "recipe", "message": message}])
    if processor is not None:
        if processor not in state.allowed.processors:
            raise ProcessorNotAllowed(
                f"This server has no processor {processor[:200]!r}; /api/recipes lists those it has",
                processor=processor[:200],
            )
        return processor
    named_recipe = state.allowed.recipes.get(str(recipe))
    if named_recipe is None:
        raise ProcessorNotAllowed(f"This server has no recipe {recipe!r}; /api/recipes lists those it has")
    return named_recipe
