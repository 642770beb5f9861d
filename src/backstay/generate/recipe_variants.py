"""Recipes with another model. Implements `regeneration.recipes.RecipeVariants`."""

from backstay.batch.job_recipe import FrozenRecipe, JobRecipe

_ORIGIN = "the job's recipe with another model"


class ModelVariants:
    """The variants of stored recipes. Recipes are imported on first use, since most commands need none."""

    def with_model(self, frozen: FrozenRecipe | None, model: str) -> JobRecipe | str:
        from backstay.generate import scripted
        from backstay.generate.recipe import Recipe

        if model.partition(":")[0] == scripted.NAME:
            return model
        fields = {**(frozen or {}), "model": model}
        return Recipe.from_fields(fields, _ORIGIN, outside=fields.keys() - {"model"})
