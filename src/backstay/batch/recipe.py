"""A recipe as batches see it: something that is frozen into a job and checked against its items."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from backstay.batch.item import Item

FrozenRecipe = Mapping[str, Any]
"""A recipe as a job keeps it: plain JSON, complete, without any credential."""


@runtime_checkable
class JobRecipe(Protocol):
    """What a model is asked for each item. Implemented in `generate`."""

    @property
    def model(self) -> str:
        """Whose conversations these are; shown as the job's processor."""
        ...

    def frozen(self) -> FrozenRecipe:
        """Return what a job keeps. The same recipe always gives the same."""
        ...

    def check(self, item: Item, where: str) -> None:
        """See that the item has all that the recipe uses; `where` says where the item stands in its input.

        Raises:
            RecipeError: it has not; the message names the place and what is missing.
        """
        ...

    def differences(self, stored: FrozenRecipe) -> Sequence[str]:
        """Say field by field how the stored recipe would have to change to be this one; empty when it need not."""
        ...
