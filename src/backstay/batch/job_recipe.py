"""The protocol of recipes: a recipe is frozen into a job and checked against its items."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from backstay.batch.item import Item
from backstay.batch.progress import TokenCounts

FrozenRecipe = Mapping[str, Any]
"""A recipe as it is stored with a job: complete, plain JSON without credentials."""


@runtime_checkable
class JobRecipe(Protocol):
    """What a model is asked for each item. Implemented in `generate`."""

    @property
    def model(self) -> str:
        """The model, which is shown as the job's processor."""

    def frozen(self) -> FrozenRecipe:
        """Return the recipe as stored with a job. Equal recipes have equal frozen forms."""

    def check(self, item: Item, where: str) -> None:
        """Check that the item has all values that the recipe uses; `where` is the item's location in its input.

        Raises:
            RecipeError: a value is missing; the message names it and the location.
        """

    def estimate(self, item: Item, where: str) -> TokenCounts:
        """Estimate the tokens of one call for the item from the lengths of its prompt. Raises like `check`."""

    def differences(self, stored: FrozenRecipe, *, with_texts: bool = False) -> Sequence[str]:
        """Describe how the stored recipe differs from this one, one text per field; empty if they are equal."""
