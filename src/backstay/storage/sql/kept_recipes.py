"""Recipes that came from backups, next to those of the jobs of this database."""

from collections.abc import Sequence

import orjson

from backstay.clock import from_text, to_text
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.times import from_micros, to_micros


def recipes_of_jobs(session: Session, owner: str, job_ids: Sequence[str]) -> Sequence[ArchivedRecipe]:
    """Return the recipes that a backup of conversations of these jobs holds."""
    # A statement takes so many jobs, so that what several of them return may come repeatedly.
    rows = dict.fromkeys(session.select_many("recipes_of_jobs", [(name,) for name in job_ids], owner))
    return [_recipe(row) for row in rows]


def find_recipes(session: Session, owner: str, names: Sequence[tuple[str, int]]) -> Sequence[ArchivedRecipe]:
    """Return the recipes that jobs and numbers of their revisions name, that of a job here before one from a backup."""
    recipes: dict[tuple[str, int, str], ArchivedRecipe] = {}
    for row in session.select_many("recipes_named", list(names), owner):
        recipe = _recipe(row)
        recipes.setdefault(recipe.key, recipe)
    return list(recipes.values())


def keep_recipes(session: Session, owner: str, recipes: Sequence[ArchivedRecipe]) -> None:
    """Keep the recipes of a backup that this database does not have. Never changes one that it has."""
    names = list(dict.fromkeys((recipe.job_id, recipe.revision) for recipe in recipes))
    known = {recipe.key for recipe in find_recipes(session, owner, names)}
    rows: list[Row] = [
        (
            *(owner, recipe.job_id, recipe.revision, recipe.fingerprint),
            orjson.dumps(dict(recipe.recipe)).decode(),
            to_micros(from_text(recipe.created_at)),
        )
        for recipe in recipes
        if recipe.key not in known
    ]
    session.execute_many("keep_recipes", rows)


def _recipe(row: Row) -> ArchivedRecipe:
    job_id, revision, fingerprint, created_at, recipe = row
    return ArchivedRecipe(job_id, revision, fingerprint, to_text(from_micros(created_at)), orjson.loads(recipe))
