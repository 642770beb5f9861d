"""Runs `make check` and `make test`, and tells a fault from bad luck: `python3 scripts/ci.py`, as `.ci/run` does.

Each test that failed is run once more, alone, with nothing next to it. One that fails again is a fault. One that passes
is named under `Flaky:` at the end, and the run is green all the same, unless there are more than two of them.

A test that shows a promise (`@pytest.mark.promise`) has no second chance: a promise that holds most of the time is
broken. Nor has a test whose process died, or anything but a test.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_PYTEST = [".venv/bin/python", "-m", "pytest"]
_MOST_FLAKY = 2


@dataclass(frozen=True)
class Outcome:
    """What one target of the Makefile came to."""

    target: str
    status: int
    failed: dict[str, list[str]] = field(default_factory=dict)
    """The tests that failed, each with what takes its second chance away, such as the promises that it shows."""
    is_for_tests_only: bool = False
    """Nothing but these tests made it fail."""


def main(python: str) -> int:
    """Return the exit status of the whole run: 0 for green."""
    # Each runs, whatever the one before came to: one failure must not hide another.
    outcomes = [_make(target, python) for target in ("check", "test")]
    failed = {name: reasons for outcome in outcomes for name, reasons in outcome.failed.items()}

    if otherwise := [outcome.target for outcome in outcomes if outcome.status and not outcome.is_for_tests_only]:
        return _is_red("Failed, and not by a test", [f"make {target}" for target in otherwise])
    if final := [f"{name}: {', '.join(reasons)}" for name, reasons in failed.items() if reasons]:
        return _is_red("Failed, without a second chance", final)
    if len(failed) > _MOST_FLAKY:
        return _is_red(f"More than {_MOST_FLAKY} tests failed, too many for bad luck", failed)
    if again := [name for name in failed if not _passes_alone(name)]:
        return _is_red("Failed again, alone", again)
    if failed:
        _list("Flaky", failed)
    return 0


def _make(target: str, python: str) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "failures.json"
        surroundings = {**os.environ, "BACKSTAY_FAILURE_RECORD": str(record)}
        status = subprocess.run(["make", f"PYTHON={python}", target], check=False, env=surroundings).returncode
        if status == 0 or not record.exists():
            return Outcome(target, status)
        found = json.loads(record.read_text(encoding="utf-8"))
    return Outcome(target, status, found["failed"], is_for_tests_only=found["exit_status"] == 1)


def _passes_alone(name: str) -> bool:
    print(f"\nOnce more, alone: {name}", flush=True)
    return subprocess.run([*_PYTEST, name], check=False).returncode == 0


def _is_red(reason: str, names: Iterable[str]) -> int:
    _list(reason, names)
    return 1


def _list(title: str, names: Iterable[str]) -> None:
    print(f"\n{title}:", *(f"  {name}" for name in names), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else sys.executable))
