"""Options of every program here, and the form of its answer; needs only Python, so that it runs in any venv.

Items and conversations come as files that the caller made from `benchmarks/workload.py`: all programs work on the same,
and none has to import another. The answer is one line of JSON, the last of standard output.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "local"
"""What the local provider's model is called."""
_IN_FLIGHT = 200


@dataclass(frozen=True)
class Spent:
    """Time that something took."""

    seconds: float
    cpu_seconds: float
    """Of this process, and of those it started and saw end."""


class Clock:
    """Stopwatch that starts when it is created."""

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), self._cpu_seconds()

    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self._started, self._cpu_seconds() - self._cpu)

    @staticmethod
    def _cpu_seconds() -> float:
        return sum(os.times()[:4])


def parse(question: str | None, tasks: Sequence[str]) -> argparse.Namespace:
    """Read the task and the files."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--conversations", type=Path, help="JSON: a list of conversations, where a script makes none")
    parser.add_argument("--base-url", help="of a provider, where a script asks one")
    parser.add_argument("--in-flight", type=int, default=_IN_FLIGHT, help="calls under way at once (%(default)s)")
    parser.add_argument("--database-url", help="of a fresh database on a server, where a script uses one")
    parser.add_argument("--items", type=Path, required=True, help="JSONL: an item a line")
    parser.add_argument("--folder", type=Path, required=True, help="where the database is, or is made")
    return parser.parse_args()


def conversations(path: Path) -> list[dict[str, Any]]:
    """Return the conversations; item number n gets the one at n modulo their number."""
    made: list[dict[str, Any]] = json.loads(path.read_text())
    return made


def items(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the items, reading the file as it goes: each has `id`, `topic` and `number`."""
    with path.open() as file:
        yield from map(json.loads, file)


def prompt(item: Mapping[str, Any]) -> str:
    """Return the prompt of an item for a program that has none of its own."""
    return f"Write a conversation about this topic: {item['topic']}"


def answer(*, seconds: float, items: int, versions: Mapping[str, str], cpu_seconds: float | None = None) -> None:
    """Print what was measured."""
    message = {"seconds": seconds, "cpu_seconds": cpu_seconds, "items": items, "versions": versions}
    print(json.dumps(message), flush=True)
