"""Backstay and other programs: how fast they store items durably, and how fast they see that nothing is left.

Each program is measured by its script in `peers/`, in a process and, if it is another program, in a venv of its own;
the script's docstring says what is measured and how it is kept fair. All are given the same items and
conversations, and take turns: every one once a round, forwards and backwards in turn. A program that cannot be
installed or fails keeps its row, with the reason; the others go on, and the exit status says so.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import workload
from harness import Case, Harness
from measurement import measure, scratch, spread

RATES = (
    Case("Backstay, concurrency 256", "backstay_batches.py", "rate", 20_000),
    Case(
        "async-batch-llm, store at FULL, concurrency 256", "async_batch_llm_store.py", "rate", 4_000, "async-batch-llm"
    ),
    Case("DBOS Transact, as it configures itself", "dbos_workflows.py", "default", 100, "dbos"),
    Case("DBOS Transact, one connection", "dbos_workflows.py", "one-connection", 150, "dbos"),
    Case("DBOS Transact, one connection, file in WAL mode", "dbos_workflows.py", "wal", 300, "dbos"),
    Case("DBOS Transact, one connection, through a queue", "dbos_workflows.py", "queue", 150, "dbos"),
    Case("one JSON array of ids, at 1,000 ids", "one_array.py", "1000", 1_000),
    Case("one JSON array of ids, at 10,000 ids", "one_array.py", "10000", 1_000),
    Case("one JSON array of ids, at 30,000 ids", "one_array.py", "30000", 500),
)

_SET = 100_000
PREPARED = (
    Case("Backstay, a finished set", "backstay_batches.py", "prepare", _SET),
    Case("async-batch-llm, a finished set", "async_batch_llm_store.py", "prepare", _SET, "async-batch-llm"),
)
AGAIN = (
    Case("Backstay, same file again", "backstay_batches.py", "again", _SET),
    Case("Backstay, same file again and every conversation read", "backstay_batches.py", "again-and-read", _SET),
    Case("Backstay, resumed by name", "backstay_batches.py", "by-name", _SET),
    Case("async-batch-llm, same file again", "async_batch_llm_store.py", "again", _SET, "async-batch-llm"),
)


def main() -> int:
    """Return the number of cases that failed."""
    options = _parse()
    print(f"`python benchmarks/side_by_side.py --rounds {options.rounds} --resume-rounds {options.resume_rounds}`\n")
    with scratch(options.folder) as folder:
        harness = Harness(folder, ["--conversations", conversations_file(folder)])
        harness.install([*RATES, *PREPARED, *AGAIN])
        _compare_rates(harness, options)
        if options.resume_rounds:
            _compare_resumes(harness, options)
    harness.print_versions()
    return len(harness.failures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each rate is measured (%(default)s)")
    parser.add_argument("--resume-rounds", type=int, default=2, help="how often each resume is (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where databases are made (%(default)s)"
    )
    return parser.parse_args()


def _compare_rates(harness: Harness, options: argparse.Namespace) -> None:
    print("### How many items a second are kept?\n", flush=True)
    seconds = measure([partial(harness.seconds, case) for case in RATES], rounds=options.rounds, folder=options.folder)
    rates = {case.label: [case.items / item for item in seconds[case.label]] for case in RATES}
    reference = rates[RATES[0].label]

    def cells(case: Case) -> list[str]:
        figures = rates[case.label]
        digits = 0 if min(figures) > 100 else 1
        return [f"{case.items:,}", spread(figures, digits), spread(times(reference, figures), 1)]

    harness.print(RATES, ["way", "items measured", "items a second", "Backstay's rate relative to it, times"], cells)


def _compare_resumes(harness: Harness, options: argparse.Namespace) -> None:
    print(f"### How long until a finished set of {_SET:,} is known to need nothing?\n", flush=True)
    # One folder for all rounds: a set is finished once, and asking again changes nothing in it.
    with scratch(options.folder) as finished:
        for case in PREPARED:
            if not harness.seconds(case, finished):
                reason = f"no finished set: {harness.failures[case.label]}"
                harness.failures |= {other.label: reason for other in AGAIN if other.script == case.script}
        measurements = [partial(_over, harness, case, finished) for case in AGAIN]
        seconds = measure(measurements, rounds=options.resume_rounds, folder=options.folder)
    reference = seconds[AGAIN[0].label]

    def cells(case: Case) -> list[str]:
        figures = seconds[case.label]
        return [spread(figures, 2), spread(times(figures, reference), 2)]

    harness.print(AGAIN, ["way", "seconds", "relative to the first, times"], cells)


def _over(harness: Harness, case: Case, finished: Path, _: Path) -> dict[str, float]:
    """Measure in the folder of the finished set, not in the empty one of the round."""
    return harness.seconds(case, finished)


def times(figures: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return one ratio per round that both completed."""
    return [figure / other for figure, other in zip(figures, others, strict=False)] or [math.nan]


def conversations_file(folder: Path) -> Path:
    """Write the conversations for all programs."""
    path = folder / "conversations.json"
    made = (workload.conversation(number).turns for number in range(500))
    turns = [[{"role": turn.role, "content": turn.content} for turn in conversation] for conversation in made]
    path.write_text(json.dumps([{"turns": some} for some in turns]))
    return path


if __name__ == "__main__":
    sys.exit(main())
