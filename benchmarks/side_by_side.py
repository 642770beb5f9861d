"""Holdfast beside other programs: how fast they keep items durably, how fast they see that nothing is left.

Each program is measured by its script in `peers/`, in a process of its own and, if it is not ours, in a venv of its
own; the script's docstring says what is measured and how it is kept fair. All are given the same items and
conversations, and take turns: every one once a round, forwards and backwards in turn. A program that cannot be
installed or fails keeps its row, with the reason; the others go on, and the exit status says so.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import workload
from measuring import machine, measure, print_table, scratch, spread
from venvs import NotInstalled, python_of

_PEERS = Path(__file__).parent / "peers"
_TIMEOUT = 240  # seconds that one measurement may take


class Failed(Exception):
    """A script ended without an answer; the message is the last line it said."""


@dataclass(frozen=True)
class Way:
    """One row of a table: a task of a script, on so many items."""

    label: str
    script: str
    task: str
    items: int
    peer: str | None = None
    """Whose venv it needs; without one it runs in ours."""


RATES = (
    Way("Holdfast, concurrency 256", "holdfast_batches.py", "rate", 20_000),
    Way(
        "async-batch-llm, store at FULL, concurrency 256", "async_batch_llm_store.py", "rate", 4_000, "async-batch-llm"
    ),
    Way("DBOS Transact, as it configures itself", "dbos_workflows.py", "default", 100, "dbos"),
    Way("DBOS Transact, one connection", "dbos_workflows.py", "one-connection", 150, "dbos"),
    Way("DBOS Transact, one connection, file in WAL mode", "dbos_workflows.py", "wal", 300, "dbos"),
    Way("DBOS Transact, one connection, through a queue", "dbos_workflows.py", "queue", 150, "dbos"),
    Way("one JSON array of ids, at 1,000 ids", "one_array.py", "1000", 1_000),
    Way("one JSON array of ids, at 10,000 ids", "one_array.py", "10000", 1_000),
    Way("one JSON array of ids, at 30,000 ids", "one_array.py", "30000", 500),
)

_SET = 100_000
PREPARED = (
    Way("Holdfast, a finished set", "holdfast_batches.py", "prepare", _SET),
    Way("async-batch-llm, a finished set", "async_batch_llm_store.py", "prepare", _SET, "async-batch-llm"),
)
AGAIN = (
    Way("Holdfast, same file again", "holdfast_batches.py", "again", _SET),
    Way("Holdfast, same file again and every conversation read", "holdfast_batches.py", "again-and-read", _SET),
    Way("Holdfast, resumed by name", "holdfast_batches.py", "by-name", _SET),
    Way("async-batch-llm, same file again", "async_batch_llm_store.py", "again", _SET, "async-batch-llm"),
)


@dataclass
class Arena:
    """What all programs are given, and what became of them."""

    folder: Path
    versions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why, by label; who failed is not asked again."""

    def seconds(self, way: Way, folder: Path) -> dict[str, float]:
        """Measure once; return the seconds by the way's label, or nothing when it fails or has failed."""
        if way.label in self.failures:
            return {}
        try:
            answer = self._ask(way, folder)
        except (NotInstalled, Failed, subprocess.TimeoutExpired) as failure:
            self.failures[way.label] = str(failure)
            print(f"{way.label}: {failure}", file=sys.stderr)
            return {}
        self.versions |= {
            f"{name} ({way.peer})" if name == "SQLite" and way.peer else name: version
            for name, version in answer["versions"].items()
        }
        return {way.label: answer["seconds"]}

    def _ask(self, way: Way, folder: Path) -> Mapping[str, Any]:
        python = python_of(way.peer) if way.peer else sys.executable
        files: list[str | Path] = [
            "--conversations",
            self._conversations(),
            "--items",
            self._items(way.items),
            "--folder",
            folder,
        ]
        done = subprocess.run(
            [python, _PEERS / way.script, way.task, *files],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise Failed((done.stderr.strip().splitlines() or ["it ended and said nothing"])[-1])
        answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if answer["items"] != way.items:
            raise Failed(f"it kept {answer['items']} of {way.items} items")
        return answer

    def _conversations(self) -> Path:
        path = self.folder / "conversations.json"
        if not path.exists():
            made = (workload.conversation(number).turns for number in range(500))
            turns = [[{"role": turn.role, "content": turn.content} for turn in conversation] for conversation in made]
            path.write_text(json.dumps([{"turns": some} for some in turns]))
        return path

    def _items(self, count: int) -> Path:
        path = self.folder / f"items-{count}.jsonl"
        if not path.exists():
            path.write_text("".join(json.dumps(item) + "\n" for item in workload.items(count)))
        return path


def main() -> int:
    """Return how many ways failed."""
    chosen = _parse()
    print(f"`python benchmarks/side_by_side.py --rounds {chosen.rounds} --resume-rounds {chosen.resume_rounds}`\n")
    with scratch(chosen.folder) as folder:
        arena = Arena(folder)
        _install(arena)
        _compare_rates(arena, chosen)
        _compare_resumes(arena, chosen)
    print(f"On {machine()}.\n")
    print(
        "In the scripts' processes: " + ", ".join(f"{name} {of}" for name, of in sorted(arena.versions.items())) + "."
    )
    return len(arena.failures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each rate is measured (%(default)s)")
    parser.add_argument("--resume-rounds", type=int, default=2, help="how often each resume is (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where databases are made (%(default)s)"
    )
    return parser.parse_args()


def _install(arena: Arena) -> None:
    """Make every venv before anything is measured."""
    ways = (*RATES, *PREPARED, *AGAIN)
    for peer in sorted({way.peer for way in ways if way.peer}):
        try:
            python_of(peer)
        except NotInstalled as reason:
            print(f"{peer} is not installed: {reason}", file=sys.stderr)
            arena.failures |= {way.label: f"not installed: {reason}" for way in ways if way.peer == peer}


def _compare_rates(arena: Arena, chosen: argparse.Namespace) -> None:
    print("### How many items a second are kept?\n", flush=True)
    seconds = measure([partial(arena.seconds, way) for way in RATES], rounds=chosen.rounds, folder=chosen.folder)
    rates = {way.label: [way.items / one for one in seconds[way.label]] for way in RATES}
    ours = rates[RATES[0].label]

    def cells(way: Way) -> list[str]:
        figures = rates[way.label]
        digits = 0 if min(figures) > 100 else 1
        return [f"{way.items:,}", spread(figures, digits), spread(_times(ours, figures), 1)]

    _print(arena, RATES, ["way", "items measured", "items a second", "Holdfast's rate beside it, times"], cells)


def _compare_resumes(arena: Arena, chosen: argparse.Namespace) -> None:
    print(f"### How long until a finished set of {_SET:,} is known to need nothing?\n", flush=True)
    # One folder for all rounds: a set is finished once, and asking again changes nothing in it.
    with scratch(chosen.folder) as finished:
        for way in PREPARED:
            if not arena.seconds(way, finished):
                reason = f"no finished set: {arena.failures[way.label]}"
                arena.failures |= {other.label: reason for other in AGAIN if other.script == way.script}
        measurements = [partial(_over, arena, way, finished) for way in AGAIN]
        seconds = measure(measurements, rounds=chosen.resume_rounds, folder=chosen.folder)
    ours = seconds[AGAIN[0].label]

    def cells(way: Way) -> list[str]:
        figures = seconds[way.label]
        return [spread(figures, 2), spread(_times(figures, ours), 2)]

    _print(arena, AGAIN, ["way", "seconds", "beside the first, times"], cells)


def _over(arena: Arena, way: Way, finished: Path, _: Path) -> dict[str, float]:
    """Measure in the folder of the finished set, not in the empty one of the round."""
    return arena.seconds(way, finished)


def _times(figures: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return one ratio a round, of the rounds that both ended."""
    return [figure / other for figure, other in zip(figures, others, strict=False)] or [math.nan]


def _print(arena: Arena, ways: Sequence[Way], header: Sequence[str], cells: Callable[[Way], list[str]]) -> None:
    failed = arena.failures
    rows = [
        [way.label, *([f"not measured: {failed[way.label]}"] if way.label in failed else cells(way))] for way in ways
    ]
    print_table(header, [row + [""] * (len(header) - len(row)) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
