"""Finds the processor of a job by the name or the recipe stored with it."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay import former_name
from backstay.batch.job_recipe import FrozenRecipe, JobRecipe
from backstay.batch.processor import Processor
from backstay.errors import ProcessorNotFound, ProcessorUnusable
from backstay.generate.provider_account import Accounts

if TYPE_CHECKING:
    from backstay.generate.recipe import Recipe


class ProcessorLoader:
    """A source of processors: `scripted`, any installed or local `module:function`, and the writer of any recipe.

    Implements `ProcessorSource`. Writers share the connections and limits of `accounts`.
    """

    def __init__(self, accounts: Accounts | None = None, *, allowed_keys: Iterable[str] = ()) -> None:
        self._accounts = accounts or Accounts()
        self._allowed_keys = tuple(allowed_keys)

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> "Recipe":
        """Return the recipe stored with a job, with another base URL if one is passed.

        A passed base URL is the user's own choice, so it needs no permission.

        Raises:
            RecipeError: the stored recipe has fields unknown to this version, or the base URL is invalid.
        """
        # Imported here: commands that list, delete or restore need not load recipes.
        from backstay.generate.recipe import Recipe

        return Recipe.revise(frozen, {"base_url": base_url})

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the writer for a recipe.

        Raises:
            ProcessorUnusable: the object is not a `Recipe`.
            ApiKeyMissing: the key that its provider needs is not set, or its command or file provides none.
            ApiKeyNotAllowed: a file or a stored job names the host, and the user has not allowed to send the key there.
            SettingsError: a header in the settings has no value, or the proxy or the certificates cannot be used.
        """
        from backstay.generate.key_permission import allowed_endpoint
        from backstay.generate.model_writer import ModelWriter
        from backstay.generate.recipe import Recipe

        if not isinstance(recipe, Recipe):
            raise ProcessorUnusable(f"A {type(recipe).__name__} is not a recipe; make one with backstay.Recipe")
        endpoint = allowed_endpoint(recipe, self._allowed_keys, self._accounts.environment)
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
        processor: Processor = _get_attribute(_import_module(module, name), module, function, name)
        return processor


def _import_module(module: str, processor: str) -> Any:
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
        raise ProcessorNotFound(f"Module {module!r} {reason}", processor=processor) from error
    except (Exception, SystemExit) as error:
        reason = f"cannot be imported: {type(error).__name__}: {error}"
        raise ProcessorNotFound(f"Module {module!r} {reason}", processor=processor) from error


def _get_attribute(owner: Any, module: str, function: str, processor: str) -> Any:
    for attribute in function.split("."):
        owner = getattr(owner, attribute, None)
        if owner is None:
            raise ProcessorNotFound(f"Module {module!r} has no function {function!r}", processor=processor)
    return owner
