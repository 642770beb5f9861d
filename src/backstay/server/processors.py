"""What makes the conversations of a new job: something that the server's settings name."""

from backstay.errors import ProcessorNotAllowed
from backstay.generate.recipe import Recipe
from backstay.server.problems import Problem
from backstay.server.state import AppState


def processor_from(state: AppState, *, recipe: str | None, processor: str | None) -> Recipe | str:
    """Return the recipe or the name of the processor that a request asks for.

    Raises:
        Problem: it says neither, or both.
        ProcessorNotAllowed: the settings do not have it.
    """
    if (recipe is None) == (processor is None):
        raise Problem(
            422,
            "invalid_request",
            "Give one of recipe and processor",
            fields=[{"field": "recipe", "message": "Give one of recipe and processor"}],
        )
    if processor is not None:
        if processor not in state.allowed.processors:
            raise ProcessorNotAllowed(
                f"This server has no processor {processor[:200]!r}; /api/recipes lists what it runs",
                processor=processor[:200],
            )
        return processor
    found = state.allowed.recipes.get(str(recipe))
    if found is None:
        raise ProcessorNotAllowed(f"This server has no recipe {recipe!r}; /api/recipes lists what it runs")
    return found
