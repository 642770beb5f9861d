"""Resolution of the name or recipe stored with a job to its processor."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay import former_name
from backstay.batch.processor import Processor
from backstay.batch.recipe import FrozenRecipe, JobRecipe
from backstay.errors import ProcessorNotFound, ProcessorUnusable
from backstay.generate.account import Accounts

if TYPE_CHECKING:
    from backstay.generate.recipe import Recipe

_RECIPE_ORIGIN = "the job's recipe"


class ProcessorRegistry:
    """A source of processors: `scripted`, any `module:function` also from the current folder, and writers of recipes.

    Implements `ProcessorSource`. Writers share the connections and limits of `accounts`.
    """

    def __init__(self, accounts: Accounts | None = None, *, allowed_keys: Iterable[str] = ()) -> None:
        self._accounts = accounts or Accounts()
        self._listed_keys = allowed_keys

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> "Recipe":
        """Return the recipe stored with a job, with another base URL if one is passed.

        The passed base URL is the user's own choice, so it does not count as a field from outside.

        Raises:
            RecipeError: the stored recipe has fields unknown to this version, or the base URL is invalid.
        """
        # Imported here: commands that list, delete or restore need not load recipes.
        from backstay.generate.recipe import Recipe

        changes = {"base_url": base_url} if base_url is not None else {}
        return Recipe.from_fields({**frozen, **changes}, _RECIPE_ORIGIN, outside=frozen.keys() - changes.keys())

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the writer for a recipe.

        Raises:
            ProcessorUnusable: the object is not a `Recipe`.
            ApiKeyMissing: the key that its provider needs is not set, or its command or file provides none.
            ApiKeyNotAllowed: a file or a job decides where the key is sent, and that is not allowed.
            SettingsError: a header in the settings has no value, or the proxy or the certificates cannot be used.
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
            ProcessorNotFound: there is no such processor; the message says what is missing.
        """
        from backstay.generate import scripted

        if name.partition(":")[0] == scripted.NAME:
            return scripted.scripted_processor(name)
        module, colon, function = name.partition(":")
        if not (colon and module and function):
            message = f"{name!r} is not a processor; name one as module:function, or use the built-in `scripted`"
            raise ProcessorNotFound(message, processor=name)
        return _get_attribute(_import_module(module, name), module, function, name)


def _import_module(module: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            reason = f"not found, neither installed nor in {here}"
        elif error.name == former_name.NAME:
            reason = f"imports {error.name}, the former name of Backstay; import backstay instead"
        else:
            reason = f"needs {error.name!r}, which is not installed"
        raise ProcessorNotFound(f"Module {module!r} {reason}", processor=name) from error
    except (Exception, SystemExit) as error:
        reason = f"cannot be imported: {type(error).__name__}: {error}"
        raise ProcessorNotFound(f"Module {module!r} {reason}", processor=name) from error


def _get_attribute(owner: Any, module: str, function: str, name: str) -> Processor:
    for attribute in function.split("."):
        owner = getattr(owner, attribute, None)
        if owner is None:
            raise ProcessorNotFound(f"Module {module!r} has no function {function!r}", processor=name)
    processor: Processor = owner
    return processor
