"""Run `scripts/ci.py` in a small project: only failures that may be flaky get a second chance."""

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
from support.harness.failure_record import VARIABLE, FailureRecord
from support.faults.batch_invariants import refuse


def pytest_configure(config):
    config.addinivalue_line("markers", "promise(*names)")
    if VARIABLE in os.environ:
        config.pluginmanager.register(FailureRecord(Path(os.environ[VARIABLE])))
"""
# `seldom` fails the first time it is called with a name, and passes from then on.
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
    """Run the script in a project with these tests and this `make check` command."""
    program = folder / ".venv" / "bin" / "pytest"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest -p no:cacheprovider "$@"\n')
    program.chmod(0o755)
    (folder / "Makefile").write_text(f"check:\n\t{check}\ntest:\n\t.venv/bin/pytest -n 1 -rA\n.PHONY: check test\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_it.py").write_text(_TESTS + tests)
    # Only xdist is needed; loading every plugin takes longer than the tests.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    # What somebody has set for runs of pytest must leave no failure out.
    more = {"PYTEST_ADDOPTS": "--deselect test_it.py"}
    return subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "ci.py")],
        check=False,
        cwd=folder,
        env={**os.environ, **plugins, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_up_to_two_failures_by_luck_are_green_and_named(tmp_path):
    """A run in which two tests fail once and pass alone is green and lists them at the end."""
    ended = _ci(tmp_path, _SELDOM + _SELDOM_TOO)

    assert ended.returncode == 0, ended.stdout
    assert sorted(ended.stdout.splitlines()[-3:]) == [
        "  test_it.py::test_seldom",
        "  test_it.py::test_seldom_too",
        "Flaky:",
    ]
    assert ended.stdout.count("Running again, alone: test_it.py::test_seldom") == 2


_FINAL = "Failed, not run again:\n  test_it.py::test_seldom: "
_FAULTS = {
    "always": (_SELDOM + _ALWAYS, "Failed again when run alone:\n  test_it.py::test_always\n"),
    "three": (
        _SELDOM + _SELDOM_TOO + "def test_seldom_as_well():\n    seldom('three')\n",
        "More than 2 tests failed, too many to be flaky:\n",
    ),
    "a promise": (f"@pytest.mark.promise('B1', 'K2')\n{_SELDOM}", f"{_FINAL}B1, K2\n"),
    "a promise after the test": (
        "@pytest.fixture\n"
        "def library():\n    yield\n    if not Path('one').exists():\n        Path('one').touch()\n"
        "        refuse(['B7: a job counts 2 pending, its rows say 1'])\n"
        "def test_seldom(library):\n    pass\n",
        f"{_FINAL}B7\n",
    ),
    "a promise in a group": (
        "def test_seldom():\n    try:\n        refuse(['K1: lost'])\n    except AssertionError as error:\n"
        "        broken = error\n    if not Path('one').exists():\n        Path('one').touch()\n"
        "        raise ExceptionGroup('both', [ValueError(), broken])\n",
        f"{_FINAL}K1\n",
    ),
    "its process died": (
        "def test_seldom():\n    if not Path('one').exists():\n        Path('one').touch()\n        os._exit(1)\n",
        f"{_FINAL}its process died\n",
    ),
    "skipped at last": (
        "def test_seldom():\n    if Path('one').exists():\n        pytest.skip()\n    seldom('one')\n",
        "Failed again when run alone:\n  test_it.py::test_seldom\n",
    ),
    "no tests": ("raise ImportError\n", "Failed, not run again:\n  test_it.py: it cannot be collected\n"),
}


@pytest.mark.parametrize("name", _FAULTS)
def test_what_has_no_second_chance_is_red(tmp_path, name):
    """A repeated failure, too many failures and a broken promise each make the run red, and are named."""
    tests, reason = _FAULTS[name]

    ended = _ci(tmp_path, tests)

    assert ended.returncode == 1
    assert f"\n{reason}" in ended.stdout


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("false", "Failed outside the tests:\n  make check\n"),
        ("echo 'import pytest; pytest.exit(\"bye\", returncode=1)' > c.py; .venv/bin/pytest c.py", "Failed outside"),
        (".venv/bin/pytest test_it.py -k seldom; rm -f one; false", "Failed, not run again:\n"),
    ],
    ids=["no test", "a run that broke off", "a test that fails in both"],
)
def test_a_check_that_fails_is_red_and_does_not_hide_the_tests(tmp_path, check, reason):
    """A failed check makes the run red without a second chance, and the tests still run."""
    ended = _ci(tmp_path, _SELDOM, check=check)

    assert ended.returncode == 1
    assert "PASSED test_it.py::test_well" in ended.stdout
    assert f"\n{reason}" in ended.stdout
