"""What making again needs of recipes. Implemented in `generate`."""

from typing import Protocol

from backstay.batch.job_recipe import FrozenRecipe, JobRecipe


class RecipeVariants(Protocol):
    """Recipes with another model."""

    def with_model(self, frozen: FrozenRecipe | None, model: str) -> JobRecipe | str:
        """Return a job's stored recipe, or the default one, with another model; or the name of the scripted writer.

        Raises:
            RecipeError: the recipe is not valid with this model.
        """
