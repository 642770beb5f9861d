"""Run `make check` and `make test`, and find flaky tests: `python3 scripts/ci.py`, as `.ci/run` does.

Each test that failed is run once more, alone. A test that fails again makes the run red. One that passes is listed
under `Flaky:` at the end and leaves the run green, unless there are more than two. A test that fails only next to
others is taken for flaky, too: the list is there to be worked through.

A test that shows a promise (`@pytest.mark.promise`) is not run again: a promise that holds only most of the time is
broken. Nor is a test whose process died, or that failed in both targets; nor anything that is not a test.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PYTEST = ".venv/bin/pytest"
_MAX_FLAKY_TESTS = 2
_ALONE_SECONDS = 600
# What others set for pytest or make could leave failures out.
_LEFT_OUT = ("PYTEST_ADDOPTS", "MAKEFLAGS")


@dataclass(frozen=True)
class Result:
    """The result of a command that runs tests."""

    status: int
    record: Mapping[str, Any]
    """What `tests/support/harness/failure_record.py` wrote; empty when pytest did not come to its end."""

    @property
    def failed(self) -> dict[str, list[str]]:
        """The tests that failed, each with the reasons why it is not run again, such as the promises it shows."""
        return dict(self.record.get("failed", {}))

    @property
    def is_for_tests_only(self) -> bool:
        """Whether tests that failed are the only reason for the status."""
        return self.record.get("exit_status") == 1 and bool(self.failed)

    @property
    def has_passed(self) -> bool:
        return self.status == 0 and self.record.get("passed") == 1


def main(python: str) -> int:
    """Return the exit status of the whole run: 0 for green."""
    # Run both, whatever the first returns: one failure must not hide another.
    results = {target: _run("make", f"PYTHON={python}", target) for target in ("check", "test")}
    failed: dict[str, list[str]] = {}
    for result in results.values():
        for name, reasons in result.failed.items():
            failed[name] = [*failed[name], *reasons, "it failed twice"] if name in failed else reasons

    if others := [target for target, result in results.items() if result.status and not result.is_for_tests_only]:
        return _is_red("Failed outside the tests", [f"make {target}" for target in others])
    if final := [f"{name}: {', '.join(reasons)}" for name, reasons in failed.items() if reasons]:
        return _is_red("Failed, not run again", final)
    if len(failed) > _MAX_FLAKY_TESTS:
        return _is_red(f"More than {_MAX_FLAKY_TESTS} tests failed, too many to be flaky", failed)
    if failed_again := [name for name in failed if not _passes_alone(name)]:
        return _is_red("Failed again when run alone", failed_again)
    if failed:
        _list("Flaky", failed)
    return 0


def _passes_alone(name: str) -> bool:
    print(f"\nRunning again, alone: {name}", flush=True)
    return _run(_PYTEST, name, seconds=_ALONE_SECONDS).has_passed


def _run(*command: str, seconds: float | None = None) -> Result:
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "failures.json"
        environment["BACKSTAY_FAILURE_RECORD"] = str(path)
        try:
            status = subprocess.run(command, check=False, env=environment, timeout=seconds).returncode
        except subprocess.TimeoutExpired:
            return Result(1, {})
        return Result(status, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})


def _is_red(reason: str, names: Iterable[str]) -> int:
    _list(reason, names)
    return 1


def _list(title: str, names: Iterable[str]) -> None:
    print(f"\n{title}:", *(f"  {name}" for name in names), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else sys.executable))
