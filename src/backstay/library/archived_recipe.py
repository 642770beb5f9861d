"""A revision of a job's recipe as a backup holds it.

Conversations say which revision made them, which means nothing in a library that does not have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backstay.clock import from_text
from backstay.errors import BackupDamaged
from backstay.library.canonical_json import digest_of
from backstay.library.conversation import text_fault
from backstay.library.provenance import MAX_REVISION

RECIPES = "recipes"
"""The key of the recipes in a backup's file."""

_KEYS = {"created_at", "fingerprint", "job_id", "recipe", "revision"}


@dataclass(frozen=True, slots=True)
class ArchivedRecipe:
    """A revision of the recipe of a job that conversations of a backup name."""

    job_id: str
    revision: int
    fingerprint: str
    """SHA-256 of the recipe's canonical JSON, as 64 hexadecimal digits."""
    created_at: str
    recipe: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, int, str]:
        """Its identity: two libraries may have different recipes under one job and number."""
        return self.job_id, self.revision, self.fingerprint

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as an entry of a backup's file."""
        return {
            "created_at": self.created_at,
            "fingerprint": self.fingerprint,
            "job_id": self.job_id,
            "recipe": dict(self.recipe),
            "revision": self.revision,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "ArchivedRecipe":
        """Return the recipe of an entry. Raises KeyError, TypeError or ValueError if it is none, or was changed."""
        job_id, revision, recipe = entry["job_id"], entry["revision"], entry["recipe"]
        if not isinstance(job_id, str) or type(revision) is not int or not isinstance(recipe, dict):
            raise TypeError
        if entry.keys() != _KEYS or digest_of(recipe) != entry["fingerprint"]:
            raise ValueError
        if not 0 < revision <= MAX_REVISION or text_fault(job_id) is not None:
            raise ValueError
        from_text(entry["created_at"])
        return cls(job_id, revision, entry["fingerprint"], entry["created_at"], recipe)


def recipes_to_json(recipes: Sequence[ArchivedRecipe]) -> bytes:
    """Return the JSON of a backup's recipes."""
    return orjson.dumps([recipe.to_dict() for recipe in recipes])


def read_recipes(entries: Any) -> list[ArchivedRecipe]:
    """Return the recipes of a file. Raises BackupDamaged if one of them is none, or was changed."""
    try:
        if not isinstance(entries, list):
            raise TypeError
        return [ArchivedRecipe.from_dict(entry) for entry in entries]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackupDamaged("A recipe in the backup is not what was backed up; it cannot be used") from error
