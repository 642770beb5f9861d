"""Recipe files in TOML or YAML."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from backstay.errors import RecipeError
from backstay.remedy import Remedy
from backstay.suggestions import did_you_mean

_MAX_FILE_BYTES = 1_000_000
_YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (".toml", *_YAML_SUFFIXES)
"""The endings of the names of recipe files."""


def read(path: Path) -> Mapping[str, Any]:
    """Return the fields of a recipe file.

    Raises:
        RecipeError: the file does not exist, is too large, is neither TOML nor YAML, or is not a table of fields.
    """
    text = _read_text(path)
    fields = _parse_yaml(text, path) if path.suffix.lower() in _YAML_SUFFIXES else _parse_toml(text, path)
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise RecipeError(f"{path} is not a table of fields, such as `turns: 4`", path=str(path))
    return fields


def unknown_field(name: str, where: str, fields: Iterable[str]) -> RecipeError:
    """Return the error for an unknown field, with a suggestion."""
    names = list(fields)
    hint = did_you_mean(name, names)
    known_fields = f"{' There' if hint else '; there'} are: {', '.join(names)}"
    return RecipeError(f"{where}: there is no field {name!r}{hint}{known_fields}", field=name)


def _read_text(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{path} must end in .toml, .yaml or .yml", path=str(path))
    try:
        if path.is_file() and path.stat().st_size > _MAX_FILE_BYTES:
            raise RecipeError(f"{path} is larger than 1 MB, the maximum for recipes", path=str(path))
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RecipeError(f"Recipe {path} not found", remedy=Remedy.WRITE_RECIPE, path=str(path)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 (byte {error.start + 1})", path=str(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path} cannot be read: {reason}", path=str(path)) from error


def _parse_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}", path=str(path)) from error


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}" if mark is not None else path
        raise RecipeError(f"{where} is not valid YAML: {error.problem or error.context}", path=str(path)) from error
    except Exception as error:  # PyYAML raises KeyError, TypeError and others for values that contradict their tags
        raise RecipeError(f"{path} is not valid YAML", path=str(path)) from error


class _Loader(yaml.SafeLoader):
    """A loader that rejects duplicate fields, and aliases, because a few lines of them can expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # not in PyYAML's types
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name, count in Counter(names).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is set twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)
