"""Packages that only a part needs: without them that part says which extra brings them."""

import os
import re
import subprocess
import sys
from importlib.metadata import metadata

import pytest

_EXTRA = re.compile(r"pip install '\.\[(\w+)\]'")


@pytest.mark.parametrize(
    ("package", "words", "part"),
    [
        ("fastapi", ["-c", "import backstay.server"], "ModuleNotFoundError: backstay.server needs packages"),
        ("fastapi", ["-m", "backstay", "serve"], "Error: backstay serve needs packages"),
        ("psycopg", ["-m", "backstay", "--database", "postgresql://h/d", "jobs"], "Error: PostgreSQL needs packages"),
    ],
    ids=["import", "serve", "postgres"],
)
def test_part_without_its_packages_names_the_extra_that_brings_them(tmp_path, package, words, part):
    """The last line says what to install, and the project has an extra of that name which holds the package."""
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('not there', name={package!r})\n")

    ended = subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    said = ended.stderr.splitlines()[-1]
    assert said.startswith(f"{part} that are not installed; add them with `pip install")
    (extra,) = _EXTRA.findall(said)
    needed = [
        one
        for one in metadata("backstay").get_all("Requires-Dist") or []
        if f"extra == '{extra}'" in one.replace('"', "'")
    ]
    assert any(one.startswith(package) for one in needed)
