"""What failed in a run of the tests, written down for `scripts/ci.py`, which decides whether it may have been luck."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from support.invariants import BrokenPromise

VARIABLE = "BACKSTAY_FAILURE_RECORD"
"""Names the file that the record of a run goes to."""


class FailureRecord:
    """A plugin of pytest that records the exit status of a run, and each test that failed.

    With each stands what takes its second chance away: the promises that it shows, or that its process died.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: dict[str, set[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]):
        """Note in the report what only the process that runs the test knows of it."""
        report = yield
        promises = {name for marker in item.iter_markers("promise") for name in marker.args}
        if call.excinfo is not None and isinstance(call.excinfo.value, BrokenPromise):
            promises |= call.excinfo.value.names
        report.promises = sorted(promises)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a failure, in the test itself, before or after it."""
        if report.failed:
            # Of a process that died in the middle of a test, the report comes from elsewhere.
            self._note(report, getattr(report, "promises", ["its process died"]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file whose tests cannot be found."""
        if report.failed:
            self._note(report, ["it cannot be collected"])

    def _note(self, report: pytest.TestReport | pytest.CollectReport, reasons: Iterable[str]) -> None:
        self._failed.setdefault(report.nodeid, set()).update(reasons)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the record, in the main process."""
        if not hasattr(session.config, "workerinput"):
            failed = {name: sorted(reasons) for name, reasons in self._failed.items()}
            self._path.write_text(json.dumps({"exit_status": int(exitstatus), "failed": failed}), encoding="utf-8")
