"""Preview of the prompts that a recipe would send."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backstay.bad_row_policy import BadRowPolicy
from backstay.batch.intake import read_items
from backstay.batch.item import to_item
from backstay.batch.item_columns import ColumnMapping
from backstay.generate.prompt import Prompt, estimate_tokens_in, estimate_tokens_out
from backstay.generate.recipe import Recipe
from backstay.readers.bad_rows import BadRows
from backstay.readers.input_notes import NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions


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
    recipe: Recipe,
    file: str,
    count: int,
    *,
    columns: ColumnMapping | None = None,
    policy: BadRowPolicy = BadRowPolicy.FAIL,
    stdin: BinaryIO | None = None,
    read: ReadOptions = AS_DETECTED,
    on_note: NoteListener | None = None,
) -> RecipePreview:
    """Render the prompt of every item of a file and return the first ones. Write no quarantine.

    Raises:
        InputError: an item is invalid.
        RecipeError: an item lacks a column that the recipe uses.
    """
    bad_rows = BadRows(policy)
    where = "standard input" if file == "-" else file
    samples: list[PromptSample] = []
    item_count = tokens = 0
    source = Path(file) if file != "-" else file
    chunks = read_items(source, columns, recipe=recipe, bad_rows=bad_rows, stdin=stdin, read=read, on_note=on_note)
    async for chunk in chunks:
        for item in chunk:
            prompt = recipe.prompts.render(to_item(item), f"{item.file or where} line {item.line}")
            prompt_tokens = estimate_tokens_in(prompt)
            item_count += 1
            tokens += prompt_tokens
            if len(samples) < count:
                samples.append(PromptSample(item.base_id, prompt, prompt_tokens))
    tokens_out = item_count * estimate_tokens_out(recipe.turns, recipe.max_tokens)
    return RecipePreview(samples, item_count, tokens, tokens_out)
