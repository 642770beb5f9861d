"""What every program here is given, and how it answers; needs nothing but Python, so that it runs in any venv.

Items and conversations come as files that the caller made from `benchmarks/workload.py`: all programs work on the same,
and none has to import another. The answer is one line of JSON, the last of standard output.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def parse(question: str | None, tasks: Sequence[str]) -> argparse.Namespace:
    """Read the task and the files."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--conversations", type=Path, required=True, help="JSON: a list of conversations")
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


def answer(*, seconds: float, items: int, versions: Mapping[str, str]) -> None:
    """Print what was measured."""
    print(json.dumps({"seconds": seconds, "items": items, "versions": versions}), flush=True)
