"""Where programs are compared: each way of each is a script in `peers/`, run in a process and a venv of its own.

The scripts' docstrings say what is measured and how it is kept fair. A program that cannot be installed or fails keeps
its row, with the reason; the others go on.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workload
from measuring import machine, print_table
from venvs import NotInstalled, python_of

_PEERS = Path(__file__).parent / "peers"

Answer = Mapping[str, Any]
"""What a script printed; `seconds`, `items` and `versions` are always in it."""


class Failed(Exception):
    """A script ended without an answer; the message is its last line."""


@dataclass(frozen=True)
class Way:
    """One row of a table: a task of a script, on so many items."""

    label: str
    script: str
    task: str
    items: int
    peer: str | None = None
    """Peer whose venv it needs; without one it runs in the current one."""


@dataclass
class Harness:
    """Options for all programs, and their results."""

    folder: Path
    options: Sequence[str | Path] = ()
    """Additional options of every script."""
    timeout: float = 240
    """Seconds that one measurement may take."""
    may_lose: bool = False
    """Whether a script may keep fewer items than it was given: what it loses is what is measured then."""
    versions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why, by label; who failed is not asked again."""

    def install(self, ways: Sequence[Way]) -> None:
        """Create every venv before anything is measured."""
        for peer in sorted({way.peer for way in ways if way.peer}):
            try:
                python_of(peer)
            except NotInstalled as reason:
                print(f"{peer} is not installed: {reason}", file=sys.stderr)
                self.failures |= {way.label: f"not measured: {reason}" for way in ways if way.peer == peer}

    def answer(self, way: Way, folder: Path, *options: str) -> Answer | None:
        """Measure once, with these additional options; return the script's answer, or None if it failed."""
        if way.label in self.failures:
            return None
        try:
            answer = self._ask(way, folder, options)
        except subprocess.TimeoutExpired:
            return self._failed(way, f"not done after {self.timeout:g} s")
        except (NotInstalled, Failed) as failure:
            return self._failed(way, f"not measured: {failure}")
        self.versions |= {
            f"{name} ({way.peer})" if name == "SQLite" and way.peer else name: version
            for name, version in answer["versions"].items()
        }
        return answer

    def seconds(self, way: Way, folder: Path) -> dict[str, float]:
        """Measure once; return the seconds by the way's label, or nothing if it fails or has failed."""
        answer = self.answer(way, folder)
        return {way.label: answer["seconds"]} if answer is not None else {}

    def print(self, ways: Sequence[Way], header: Sequence[str], cells: Callable[[Way], list[str]]) -> None:
        """Print a table with a row for each way: its cells, or the reason why there are none."""
        rows = [
            [way.label, *([self.failures[way.label]] if way.label in self.failures else cells(way))] for way in ways
        ]
        print_table(header, [row + [""] * (len(header) - len(row)) for row in rows])

    def print_versions(self) -> None:
        """Print the versions that were measured."""
        print(f"On {machine()}.\n")
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
        print(f"In the scripts' processes: {versions}.")

    def _ask(self, way: Way, folder: Path, options: Sequence[str]) -> Answer:
        python = python_of(way.peer) if way.peer else sys.executable
        ended = subprocess.run(
            [
                python,
                _PEERS / way.script,
                way.task,
                *self.options,
                *options,
                "--items",
                self._items(way.items),
                "--folder",
                folder,
            ],
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )
        if ended.returncode:
            raise Failed((ended.stderr.strip().splitlines() or ["it ended and said nothing"])[-1])
        answer: Answer = json.loads(ended.stdout.splitlines()[-1])
        if answer["items"] != way.items and not self.may_lose:
            raise Failed(f"it kept {answer['items']} of {way.items} items")
        return answer

    def _failed(self, way: Way, why: str) -> None:
        self.failures[way.label] = why
        print(f"{way.label}: {why}", file=sys.stderr)

    def _items(self, count: int) -> Path:
        path = self.folder / f"items-{count}.jsonl"
        if not path.exists():
            path.write_text("".join(json.dumps(item) + "\n" for item in workload.items(count)))
        return path
