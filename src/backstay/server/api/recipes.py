"""The recipes and processors that a new job may name."""

from backstay.schemas import ApiObject
from backstay.server.api.common import State, errors, token_scheme
from backstay.server.routers import Router

router = Router(prefix="/api/recipes", tags=["batches"], dependencies=[token_scheme])


class RecipesOut(ApiObject):
    """Names from the server's settings; a new job takes one of them as `recipe` or `processor`."""

    recipes: list[str]
    processors: list[str]


@router.get("", responses=errors())
async def list_recipes(state: State) -> RecipesOut:
    """List the recipes and processors that a new job may name."""
    allowed = state.allowed
    return RecipesOut(recipes=sorted(allowed.recipes), processors=sorted(allowed.processors))
