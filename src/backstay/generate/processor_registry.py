"""From what a job keeps, a name or a recipe, to the processor."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay import former_name
from backstay.batch.processor import Processor
from backstay.batch.recipe import FrozenRecipe
from backstay.batch.recipe import JobRecipe as AnyRecipe
from backstay.errors import ProcessorNotFound, ProcessorUnusable
from backstay.generate.account import Accounts

if TYPE_CHECKING:
    from backstay.generate.recipe import Recipe

_JOBS_RECIPE = "the job's recipe"


class ProcessorRegistry:
    """Finds `scripted`, any `module:function`, the current folder included, and what follows a recipe.

    Implements `ProcessorSource`. Writers of recipes share the connections and limits of `accounts`.
    """

    def __init__(self, accounts: Accounts | None = None, *, allowed_keys: Iterable[str] = ()) -> None:
        self._accounts = accounts or Accounts()
        self._listed_keys = allowed_keys

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> "Recipe":
        """Return the recipe that a job keeps, its model asked at `base_url` where that is given.

        A base URL that is given is the user's own word: of the fields that decide where a key goes, only the others
        are the job's.

        Raises:
            RecipeError: the job's recipe holds what this version does not know, or the base URL is not valid.
        """
        # Here and not above: who lists, deletes or restores need not wait for what reads recipes.
        from backstay.generate.recipe import Recipe

        given = {"base_url": base_url} if base_url is not None else {}
        return Recipe.from_fields({**frozen, **given}, _JOBS_RECIPE, outside=frozen.keys() - given.keys())

    async def writer(self, recipe: AnyRecipe) -> Processor:
        """Return the writer that follows a recipe.

        Raises:
            ProcessorUnusable: it is a recipe of some other kind.
            ApiKeyMissing: the key that its provider needs is not set, or its command or file gives none.
            ApiKeyNotAllowed: a file or a job names where its key goes, and that has not been allowed.
            SettingsError: a header of the settings lacks its value, or the proxy or certificates cannot be used.
        """
        from backstay.generate.key_permission import allowed_endpoint
        from backstay.generate.model_writer import ModelWriter
        from backstay.generate.recipe import Recipe

        if not isinstance(recipe, Recipe):
            raise ProcessorUnusable(f"A {type(recipe).__name__} is not a recipe; make one with backstay.Recipe")
        endpoint = allowed_endpoint(recipe, self._listed_keys, self._accounts.environment)
        return ModelWriter(recipe, await self._accounts.account(endpoint), endpoint)

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name.

        Raises:
            ProcessorNotFound: there is none; the message says what is missing.
        """
        from backstay.generate import scripted

        if name.partition(":")[0] == scripted.NAME:
            return scripted.scripted(name)
        module, colon, function = name.partition(":")
        if not (colon and module and function):
            raise ProcessorNotFound(
                f"{name!r} is no processor; name one as module:function, or use the built-in `scripted`", processor=name
            )
        return _attribute(_module(module, name), module, function, name)


def _module(module: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ProcessorNotFound(
                f"There is no module {module!r}, neither installed nor in {here}", processor=name
            ) from error
        if error.name == former_name.NAME:
            reason = f"imports {error.name}, the former name of Backstay; import backstay instead"
        else:
            reason = f"needs {error.name!r}, which is not installed"
        raise ProcessorNotFound(f"Module {module!r} {reason}", processor=name) from error
    except (Exception, SystemExit) as error:
        raise ProcessorNotFound(
            f"Module {module!r} cannot be imported: {type(error).__name__}: {error}", processor=name
        ) from error


def _attribute(found: Any, module: str, function: str, name: str) -> Processor:
    for part in function.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise ProcessorNotFound(f"Module {module!r} has no function {function!r}", processor=name)
    processor: Processor = found
    return processor
