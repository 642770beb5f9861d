"""Comparison of programs: scripts in `peers/` run their tasks, each in its own process and, for peers, its own venv.

The scripts' docstrings say what is measured and what makes the comparison fair. A program that cannot be installed, or
that fails, keeps its table row, with the reason; the others are still measured.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workload
from measurement import machine, print_table
from venvs import NotInstalled, python_of

_PEERS = Path(__file__).parent / "peers"

ScriptResult = Mapping[str, Any]
"""The JSON object that a script printed; it always has `seconds`, `items` and `versions`."""


class ScriptFailed(Exception):
    """A script failed; the message is the last line of its standard error, or what is wrong with its result."""


@dataclass(frozen=True)
class Case:
    """A task of a script on a number of items; one row of a table."""

    label: str
    script: str
    task: str
    items: int
    peer: str | None = None
    """Peer in whose venv the script runs; None for the current venv."""


@dataclass
class Harness:
    """Options for all programs, and their results."""

    folder: Path
    options: Sequence[str | Path] = ()
    """Additional options of every script."""
    timeout: float = 240
    """Seconds that one case may take."""
    may_lose: bool = False
    """Whether a script may keep fewer items than it was given, because its losses are measured."""
    versions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """The reason of each failure, by label; a failed case is not measured again."""

    def install(self, cases: Sequence[Case]) -> None:
        """Create every venv, before anything is measured."""
        for peer in sorted({case.peer for case in cases if case.peer}):
            try:
                python_of(peer)
            except NotInstalled as reason:
                print(f"{peer} is not installed: {reason}", file=sys.stderr)
                self.failures |= {case.label: f"not measured: {reason}" for case in cases if case.peer == peer}

    def measure(self, case: Case, folder: Path, *options: str) -> ScriptResult | None:
        """Measure once, with these additional options; return the script's result, or None if it failed."""
        if case.label in self.failures:
            return None
        try:
            result = self._run_script(case, folder, options)
        except subprocess.TimeoutExpired:
            return self._record_failure(case, f"not done after {self.timeout:g} s")
        except (NotInstalled, ScriptFailed) as failure:
            return self._record_failure(case, f"not measured: {failure}")
        self.versions |= {
            f"{name} ({case.peer})" if name == "SQLite" and case.peer else name: version
            for name, version in result["versions"].items()
        }
        return result

    def seconds(self, case: Case, folder: Path) -> dict[str, float]:
        """Measure once; return the seconds by the case's label; empty if it fails or has failed."""
        result = self.measure(case, folder)
        return {case.label: result["seconds"]} if result is not None else {}

    def print(self, cases: Sequence[Case], header: Sequence[str], cells: Callable[[Case], list[str]]) -> None:
        """Print a table with one row per case: its cells, or the reason of its failure."""
        rows = [
            [case.label, *([self.failures[case.label]] if case.label in self.failures else cells(case))]
            for case in cases
        ]
        print_table(header, [row + [""] * (len(header) - len(row)) for row in rows])

    def print_versions(self) -> None:
        """Print the versions that were measured."""
        print(f"On {machine()}.\n")
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
        print(f"In the scripts' processes: {versions}.")

    def _run_script(self, case: Case, folder: Path, options: Sequence[str]) -> ScriptResult:
        python = python_of(case.peer) if case.peer else sys.executable
        process = subprocess.run(
            [
                python,
                _PEERS / case.script,
                case.task,
                *self.options,
                *options,
                "--items",
                self._items_file(case.items),
                "--folder",
                folder,
            ],
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )
        if process.returncode:
            raise ScriptFailed((process.stderr.strip().splitlines() or ["it failed without a message"])[-1])
        result: ScriptResult = json.loads(process.stdout.splitlines()[-1])
        if result["items"] != case.items and not self.may_lose:
            raise ScriptFailed(f"it kept {result['items']} of {case.items} items")
        return result

    def _record_failure(self, case: Case, reason: str) -> None:
        self.failures[case.label] = reason
        print(f"{case.label}: {reason}", file=sys.stderr)

    def _items_file(self, count: int) -> Path:
        path = self.folder / f"items-{count}.jsonl"
        if not path.exists():
            path.write_text("".join(json.dumps(item) + "\n" for item in workload.items(count)))
        return path
