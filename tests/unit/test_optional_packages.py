"""A feature whose packages are missing names the extra that installs them."""

import os
import re
import subprocess
import sys
from importlib.metadata import metadata

import pytest

_EXTRA = re.compile(r"pip install '\.\[(\w+)\]'")


@pytest.mark.parametrize(
    ("package", "words", "feature"),
    [
        ("fastapi", ["-c", "import backstay.server"], "ModuleNotFoundError: backstay.server needs packages"),
        ("fastapi", ["-m", "backstay", "serve"], "Error: backstay serve needs packages"),
        ("psycopg", ["-m", "backstay", "--database", "postgresql://h/d", "jobs"], "Error: PostgreSQL needs packages"),
    ],
    ids=["import", "serve", "postgres"],
)
def test_part_without_its_packages_names_the_extra_that_brings_them(tmp_path, package, words, feature):
    """Without its packages a feature names an extra of the project that contains them."""
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('not there', name={package!r})\n")

    ended = subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    message = ended.stderr.splitlines()[-1]
    assert message.startswith(f"{feature} that are not installed; add them with `pip install")
    (extra,) = _EXTRA.findall(message)
    needed = [
        item
        for item in metadata("backstay").get_all("Requires-Dist") or []
        if f"extra == '{extra}'" in item.replace('"', "'")
    ]
    assert any(item.startswith(package) for item in needed)
