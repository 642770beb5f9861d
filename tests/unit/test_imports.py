"""Commands and programs load only what they need."""

import subprocess
import sys

import pytest

_LATER = {
    "aiohttp": "asks a provider",
    "jinja2": "follows a recipe",
    "structlog": "has something to log",
    "psycopg": "stores on a server",
    "fastapi": "serves",
    "typer": "is a command",
}


@pytest.mark.parametrize("module", ["backstay", "backstay.app", "backstay.schemas", "backstay.cli.app"])
def test_what_only_some_need_is_not_loaded(module):
    """A fresh process that runs a command or imports the package does not load optional modules."""
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )

    assert module in loaded
    assert loaded & set(_LATER) == ({"typer"} if module == "backstay.cli.app" else set())
