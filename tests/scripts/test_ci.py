"""`scripts/ci.py` in a small project of its own: what may have been luck has a second chance, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_CONFTEST = f"""
import os
import sys
from pathlib import Path

sys.path.insert(0, {str(_ROOT / "tests")!r})
from support.failure_record import VARIABLE, FailureRecord
from support.invariants import refuse


def pytest_configure(config):
    config.addinivalue_line("markers", "promise(*names)")
    if VARIABLE in os.environ:
        config.pluginmanager.register(FailureRecord(Path(os.environ[VARIABLE])))
"""
# `seldom` fails the first time that it is called under a name, and then never again.
_TESTS = """
import os
from pathlib import Path

import pytest

from conftest import refuse


def seldom(name):
    before = Path(name)
    if not before.exists():
        before.touch()
        raise AssertionError("the first time")


def test_well():
    pass

"""
_SELDOM = "def test_seldom():\n    seldom('one')\n"
_SELDOM_TOO = "def test_seldom_too():\n    seldom('two')\n"
_ALWAYS = "def test_always():\n    assert False\n"


def _ci(folder: Path, tests: str, *, check: str = "true") -> subprocess.CompletedProcess[str]:
    """Run the script in a project with these tests, whose `make check` is some command."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "Makefile").write_text(
        f"check:\n\t{check}\ntest:\n\t.venv/bin/python -m pytest -n 1 -p no:cacheprovider\n.PHONY: check test\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_it.py").write_text(_TESTS + tests)
    # Of the plugins that are installed, it needs this one: loading all takes longer than its tests.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    return subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "ci.py")],
        check=False,
        cwd=folder,
        env={**os.environ, **plugins},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_up_to_two_failures_by_luck_are_green_and_named(tmp_path):
    """Two tests that pass when they are run again, each alone, leave the run green, and its last lines name them."""
    ended = _ci(tmp_path, _SELDOM + _SELDOM_TOO)

    assert ended.returncode == 0, ended.stdout
    assert sorted(ended.stdout.splitlines()[-3:]) == [
        "  test_it.py::test_seldom",
        "  test_it.py::test_seldom_too",
        "Flaky:",
    ]
    assert ended.stdout.count("Once more, alone: test_it.py::test_seldom") == 2


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        (_SELDOM + _ALWAYS, "Failed again, alone:\n  test_it.py::test_always\n"),
        (
            _SELDOM + _SELDOM_TOO + "def test_seldom_as_well():\n    seldom('three')\n",
            "More than 2 tests failed, too many for bad luck:\n",
        ),
        (
            f"@pytest.mark.promise('B1', 'K2')\n{_SELDOM}",
            "Failed, without a second chance:\n  test_it.py::test_seldom: B1, K2\n",
        ),
        (
            "@pytest.fixture\n"
            "def library():\n    yield\n    if not Path('one').exists():\n        Path('one').touch()\n"
            "        refuse(['B7: a job counts 2 pending, its rows say 1'])\n"
            "def test_seldom(library):\n    pass\n",
            "Failed, without a second chance:\n  test_it.py::test_seldom: B7\n",
        ),
        (
            "def test_seldom():\n    if not Path('one').exists():\n        Path('one').touch()\n        os._exit(1)\n",
            "Failed, without a second chance:\n  test_it.py::test_seldom: its process died\n",
        ),
        ("raise ImportError\n", "Failed, without a second chance:\n  test_it.py: it cannot be collected\n"),
    ],
    ids=["always", "three", "a promise", "a promise after the test", "its process died", "no tests"],
)
def test_what_has_no_second_chance_is_red(tmp_path, tests, reason):
    """A fault, more failures than luck explains and a broken promise are red, and the reason is said."""
    ended = _ci(tmp_path, tests)

    assert ended.returncode == 1
    assert f"\n{reason}" in ended.stdout


def test_a_check_that_fails_is_red_and_does_not_hide_the_tests(tmp_path):
    """A check that is no test has no second chance, and the tests run all the same."""
    ended = _ci(tmp_path, _SELDOM, check="false")

    assert ended.returncode == 1
    assert "2 passed" in ended.stdout or "1 failed, 1 passed" in ended.stdout
    assert ended.stdout.endswith("Failed, and not by a test:\n  make check\n")
