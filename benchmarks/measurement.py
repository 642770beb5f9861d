"""Measuring and printing for every benchmark: several rounds in one run, the subjects taking turns.

The machine is usually shared and its disk more so. So no number stands alone: each is the median of its rounds with the
lowest and the highest, and what is claimed is the ratio of two things measured in the same round.
"""

import argparse
import gc
import importlib.metadata
import os
import platform
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

Measurement = Callable[[Path], dict[str, float]]
"""Measures once, in the empty folder it is given, and returns its figures by name."""


def parse(question: str, *, items: int, rounds: int, in_flight: int | None = None) -> argparse.Namespace:
    """Parse the options of every benchmark and, if it has one, the number of calls in flight."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--items", type=int, default=items, help="items of the job (%(default)s)")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often everything is measured (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where databases are made (%(default)s)"
    )
    if in_flight is not None:
        parser.add_argument("--in-flight", type=int, default=in_flight, help="calls in flight (%(default)s)")
    return parser.parse_args()


def measure(measurements: Sequence[Measurement], *, rounds: int, folder: Path) -> Mapping[str, Sequence[float]]:
    """Take every measurement once per round, alternating the order, so that a drift favours none."""
    measured: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for measurement in measurements if number % 2 == 0 else measurements[::-1]:
            with scratch(folder) as empty:
                for name, figure in measurement(empty).items():
                    measured[name].append(figure)
    return measured


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """Create a folder, and wait until neither the disk nor the heap still works on earlier data."""
    os.sync()
    gc.collect()
    folder = Path(tempfile.mkdtemp(prefix="backstay-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ratios(measured: Mapping[str, Sequence[float]], name: str, reference: str) -> list[float]:
    """Return one ratio per round."""
    return [figure / other for figure, other in zip(measured[name], measured[reference], strict=True)]


def spread(figures: Sequence[float], digits: int = 0) -> str:
    """Format the median, with the lowest and highest in brackets."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def print_heading(question: str, script: str, options: argparse.Namespace) -> None:
    """Print the question and the command that answers it."""
    print(f"## {question}\n")
    more = f" --in-flight {options.in_flight}" if "in_flight" in options else ""
    print(f"`python benchmarks/{script} --items {options.items} --rounds {options.rounds}{more}`\n", flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, and how busy the machine was."""
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    item, five, _ = os.getloadavg()
    print(f"\nLoad at the end: {item:.1f} over one minute, {five:.1f} over five; {os.cpu_count()} CPUs.\n", flush=True)


def machine() -> str:
    """Describe the machine."""
    versions = {
        "Python": platform.python_version(),
        "SQLite": f"{apsw.sqlite_lib_version()} through apsw {apsw.apsw_version()}",
        "Backstay": importlib.metadata.version("backstay"),
    }
    message = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{os.cpu_count()} CPUs ({platform.machine()}), {platform.system()} {platform.release()}; {message}"
