"""Resolution of the name of a processor."""

import sys
from itertools import count

import pytest

from backstay.errors import ProcessorNotFound
from backstay.generate.processor_loader import ProcessorLoader
from backstay.generate.recipe import Recipe

_numbers = count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module with this text into the current folder, and return its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)

    def write(text, name=None):
        name = name or f"written_{next(_numbers)}"
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _resolve(name):
    return ProcessorLoader().resolve(name)


def _refusal(name):
    with pytest.raises(ProcessorNotFound) as caught:
        _resolve(name)
    assert caught.value.context == {"processor": name}
    return caught.value.message


def test_function_of_a_module_in_the_current_folder(module):
    """A function in a module of the current folder is found, as with `python -m`."""
    name = module("def generate(item):\n    return item\n")

    assert _resolve(f"{name}:generate")("x") == "x"


def test_installed_module():
    """A function in any installed module is found."""
    import json

    assert _resolve("json:loads") is json.loads


def test_part_of_a_package_and_of_a_class(module):
    """Dotted names lead into packages and into classes."""
    name = module("class Writer:\n    @staticmethod\n    def write(item):\n        return item\n", "writers_pkg.inner")

    assert _resolve(f"{name}:Writer.write")("x") == "x"


def test_module_written_a_moment_ago_is_found(module):
    """A module written after the import system cached its folder is found."""
    _refusal("written_later:generate")
    module("def generate(item):\n    return item\n", "written_later")

    assert _resolve("written_later:generate")("x") == "x"


def test_current_folder_is_added_once(module, tmp_path):
    """Resolving many names adds the current folder to the path only once."""
    name = module("def generate(item):\n    return item\n")

    for _ in range(3):
        _resolve(f"{name}:generate")

    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize("name", ["generate", "", ":", "a:", ":b", "caller", "unscripted"])
def test_name_of_another_form_is_refused(name):
    """A name of another form is rejected, and the message shows both valid forms."""
    assert _refusal(name) == f"{name!r} is not a processor; name one as module:function, or use the built-in `scripted`"


@pytest.mark.parametrize("name", ["no_such_module", "no_such_package.inner"])
def test_missing_module_is_told(module, tmp_path, name):
    """A missing module is reported with the folder that was searched."""
    assert _refusal(f"{name}:f") == f"Module {name!r} not found, neither installed nor in {tmp_path}"


def test_missing_part_of_a_package_is_told(module, tmp_path):
    """A missing module of an existing package is reported."""
    module("", "there_pkg.__init__")

    assert _refusal("there_pkg.none:f") == f"Module 'there_pkg.none' not found, neither installed nor in {tmp_path}"


def test_missing_function_is_told(module):
    """A missing function of an existing module is reported."""
    name = module("other = 1\n")

    assert _refusal(f"{name}:generate") == f"Module {name!r} has no function 'generate'"
    assert _refusal(f"{name}:other.inner") == f"Module {name!r} has no function 'other.inner'"


def test_module_that_needs_another_is_told(module):
    """If the imported module lacks a dependency, the error names the dependency."""
    name = module("import no_such_library\n")

    assert _refusal(f"{name}:f") == f"Module {name!r} needs 'no_such_library', which is not installed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def f(:\n", "SyntaxError: "),
        ("from json import no_such_name", "ImportError: "),
        ("raise ModuleNotFoundError('odd')", ""),
    ],
)
def test_module_that_cannot_be_imported_is_told(module, text, reason):
    """An error or an exit during the import is reported, and does not end the program."""
    name = module(text)

    message = _refusal(f"{name}:f")

    assert repr(name) in message
    assert reason in message


@pytest.mark.parametrize("name", [".relative:f", "a\x00b:f", "a b:f"])
def test_impossible_module_is_told(module, name):
    """A name that no module can have is reported as not found."""
    assert _refusal(name)


def test_an_address_that_is_given_is_not_the_jobs():
    """A base URL passed to a resume replaces the job's, and does not count as a field from outside."""
    frozen = Recipe(model="m", base_url="http://old.example/v1", api_key_env="SOME_KEY").frozen()

    stored = ProcessorLoader().recipe(frozen)
    moved = ProcessorLoader().recipe(frozen, base_url="http://new.example")

    assert (stored.endpoint.base_url, moved.endpoint.base_url) == ("http://old.example/v1", "http://new.example/v1")
    assert stored.outside_fields - moved.outside_fields == {"base_url"}
    assert "api_key_env" in moved.outside_fields
