"""Backstay and DBOS Transact on one PostgreSQL server: how fast they store items durably.

As in `side_by_side.py`: scripts in `peers/`, each in a process and a venv of its own, the same items and conversations,
taking turns. Each measurement has a database of its own on one server, which waits for its disk.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness import Case, Harness
from measurement import measure, scratch, spread
from servers import Server, database, described, fresh, server
from side_by_side import conversations_file, times

RATES = (
    Case("Backstay, concurrency 256", "backstay_batches.py", "rate", 10_000),
    Case("DBOS Transact, as it configures itself", "dbos_workflows.py", "postgres", 500, "dbos"),
    Case("DBOS Transact, through a queue", "dbos_workflows.py", "postgres-queue", 500, "dbos"),
)


def main() -> int:
    """Return the number of cases that failed."""
    options = _parse()
    print("### On PostgreSQL: how many items a second are kept?\n")
    print(f"`python benchmarks/side_by_side_postgres.py --rounds {options.rounds}`\n", flush=True)
    with scratch(options.folder) as folder, server(options.folder) as running:
        harness = Harness(folder, ["--conversations", conversations_file(folder)])
        harness.install(RATES)
        measurements = [partial(_seconds, harness=harness, case=case, running=running) for case in RATES]
        seconds = measure(measurements, rounds=options.rounds, folder=options.folder)
        print(f"{described(running)}.\n")
    rates = {case.label: [case.items / item for item in seconds[case.label]] for case in RATES}
    reference = rates[RATES[0].label]

    def cells(case: Case) -> list[str]:
        figures = rates[case.label]
        return [f"{case.items:,}", spread(figures), spread(times(reference, figures), 1)]

    harness.print(RATES, ["way", "items measured", "items a second", "Backstay's rate relative to it, times"], cells)
    harness.print_versions()
    return len(harness.failures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each rate is measured (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where databases are made (%(default)s)"
    )
    return parser.parse_args()


def _seconds(folder: Path, *, harness: Harness, case: Case, running: Server) -> dict[str, float]:
    # Each program creates its own tables; Backstay's are created by a command before any run.
    with (fresh if case.peer else database)(running) as url:
        return replace(harness, options=[*harness.options, "--database-url", url]).seconds(case, folder)


if __name__ == "__main__":
    sys.exit(main())
