"""Preview of the prompts that a recipe would send."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backstay.batch.intake import ColumnMapping, read_items
from backstay.batch.item import to_item
from backstay.generate import estimate
from backstay.generate.prompt import Prompt
from backstay.generate.recipe import Recipe


@dataclass(frozen=True, slots=True)
class PromptSample:
    """The prompt of one item."""

    item_id: str
    prompt: Prompt
    tokens_in: int


@dataclass(frozen=True, slots=True)
class RecipePreview:
    """The first prompts, and token estimates for all items."""

    samples: Sequence[PromptSample]
    items: int
    tokens_in: int
    tokens_out: int


async def preview(
    recipe: Recipe, file: str, count: int, *, columns: ColumnMapping | None = None, stdin: BinaryIO | None = None
) -> RecipePreview:
    """Render the prompt of every item of a file and return the first ones.

    Raises:
        InputError: an item is invalid.
        RecipeError: an item lacks a column that the recipe uses.
    """
    where = "standard input" if file == "-" else file
    samples: list[PromptSample] = []
    items = tokens = 0
    async for chunk in read_items(Path(file) if file != "-" else file, columns or ColumnMapping(), stdin=stdin):
        for draft in chunk:
            prompt = recipe.prompts.render(to_item(draft), f"{where} line {draft.line}")
            items += 1
            tokens += estimate.estimate_tokens_in(prompt)
            if len(samples) < count:
                samples.append(PromptSample(draft.base_id, prompt, estimate.estimate_tokens_in(prompt)))
    return RecipePreview(samples, items, tokens, items * estimate.estimate_tokens_out(recipe.turns, recipe.max_tokens))
