"""Record the failures of a test run for `scripts/ci.py`, which decides whether they are flaky."""

import json
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.faults.batch_invariants import BrokenPromise

VARIABLE = "BACKSTAY_FAILURE_RECORD"
"""The environment variable that names the record's file."""


class FailureRecord:
    """A pytest plugin that records the exit status of a run, how many tests passed, and each that failed.

    With each that failed stand the reasons why it must not be run again: the promises it shows, or that its process
    died.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed = 0
        self._failed: dict[str, set[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Add to the report what only the process that runs the test knows."""
        report = yield
        promises = {name for marker in item.iter_markers("promise") for name in marker.args}
        if call.excinfo is not None:
            broken = (error for error in _all(call.excinfo.value) if isinstance(error, BrokenPromise))
            promises |= {name for error in broken for name in error.promises}
        report.promises = sorted(promises)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test that failed in setup, call or teardown."""
        if report.failed:
            # The report of a test whose process died is made by xdist and says nothing of promises.
            self._note(report, getattr(report, "promises", ["its process died"]))
        elif report.when == "call" and report.passed:
            self._passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that cannot be collected."""
        if report.failed:
            self._note(report, ["it cannot be collected"])

    def _note(self, report: pytest.TestReport | pytest.CollectReport, reasons: Iterable[str]) -> None:
        self._failed.setdefault(report.nodeid, set()).update(reasons)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the record, in the main process."""
        if not hasattr(session.config, "workerinput"):
            failed = {name: sorted(reasons) for name, reasons in self._failed.items()}
            record = {"exit_status": int(exitstatus), "passed": self._passed, "failed": failed}
            self._path.write_text(json.dumps(record), encoding="utf-8")


def _all(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the members of a group, and what each of them came from."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        current = left.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            left += [*getattr(current, "exceptions", ()), current.__cause__, current.__context__]
            yield current
