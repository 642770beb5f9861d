"""What do a provider's refusals cost? Jobs at a server that refuses calls, and a client that retries each by itself.

The server answers a call after about 0.3 s and refuses as its condition says (`refusing_provider.py`); 64 calls are
under way at once. With `--peers`, other programs that ask a model are measured as well; how each is set up is in its
script.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import Case, Harness
from measurement import print_table, scratch
from refusing_provider import BUCKET_PER_SECOND, OUTAGE, OUTAGE_SECONDS, measured, refusing_provider

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fakes.provider_simulation import ROUND_TRIP_SECONDS, Result

QUESTION = "What do a provider's refusals cost?"

_IN_FLIGHT = 64
_FULL = _IN_FLIGHT / ROUND_TRIP_SECONDS
"""Answers a second without refusals."""
_ITEMS = 1_000
_OUTAGE_ITEMS = 3_000
_TIMEOUT = 100  # seconds; what is slower is no longer compared
_FREE = "no refusals"
_BUCKET = "bucket of 50 a second, true Retry-After"
_MIDDLE = "503 for a minute, from the fourth second on"
_START = "503 for the first minute"
_RATES = (
    _FREE,
    "1 % of 429, Retry-After 1",
    "5 % of 429, Retry-After 1",
    "5 % of 429, no Retry-After",
    "2 % of 503",
    _BUCKET,
)

_OURS = (("Backstay", "backstay_generation.py", "generate", None),)
_ALONE = (("each call by itself", "retrying_generation.py", "generate", None),)
_PEERS = (
    ("curator", "curator_generation.py", "generate", "curator"),
    ("async-batch-llm", "async_batch_llm_generation.py", "full", "async-batch-llm"),
)


@dataclass(frozen=True)
class _Trial:
    """One program at a server in one condition."""

    case: Case
    condition: str

    @classmethod
    def from_program(cls, program: tuple[str, str, str, str | None], condition: str, items: int) -> "_Trial":
        label, script, task, peer = program
        return cls(Case(f"{label}: {condition}, {items} items", script, task, items, peer), condition)


@dataclass(frozen=True)
class _Outcome:
    """Result of one trial."""

    seconds: float
    stored: int
    sent: Result


def main() -> int:
    """Return the number of failed measurements; one that takes too long is a result."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--peers", action="store_true", help="measure other programs as well")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured, of which the median counts")
    parser.add_argument("--items", type=int, help="ignored: each condition has its own number")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where results are kept")
    options = parser.parse_args()
    programs = (*_OURS, *_ALONE, *(_PEERS if options.peers else ()))
    peers = "--peers " if options.peers else ""
    print(f"## {QUESTION}\n\n`python benchmarks/provider_refusals.py {peers}--rounds {options.rounds}`\n", flush=True)
    with scratch(options.folder) as folder:
        bench = _Bench(
            Harness(folder, ["--in-flight", str(_IN_FLIGHT)], timeout=_TIMEOUT, may_lose=True),
            options.rounds,
            options.folder,
        )
        bench.harness.install([_Trial.from_program(program, _FREE, _ITEMS).case for program in programs])
        names = [name for name, *_ in programs]
        rows = [_rate_cells(bench, condition, programs) for condition in _RATES]
        print(f"{_ITEMS:,} items: seconds; relative to its time without refusals, or to the bucket's; calls refused.\n")
        print_table(["provider", *names], rows)
        rows = [_middle_cells(bench, programs), *_start_cells(bench, programs)]
        print("A minute's outage: seconds from its end, calls refused.\n")
        print_table(["job", *names], rows)
        bench.harness.print_versions()
    return sum(why.startswith("not measured") for why in bench.harness.failures.values())


class _Bench:
    """Runner of trials, which stores each program's rate without refusals."""

    def __init__(self, harness: Harness, rounds: int, folder: Path) -> None:
        self.harness = harness
        self.free_seconds: dict[str, float] = {}
        self._has_no_end: set[str] = set()
        self._rounds = rounds
        self._folder = folder

    def outcomes(self, trial: _Trial) -> list[_Outcome]:
        """Return the outcome of a trial in each round; None if it failed."""
        program, _, condition = trial.case.label.partition(": ")
        if "429" in condition and program in self._has_no_end:
            self.harness.failures[trial.case.label] = "not asked"  # it was not done under fewer refusals
        result: list[_Outcome] = []
        for _ in range(self._rounds):
            with scratch(self._folder) as folder, refusing_provider(trial.condition) as base_url:
                answer = self.harness.measure(trial.case, folder, "--base-url", base_url)
                if answer is None:
                    self._has_no_end |= {program} if "429" in condition else set()
                    break
                result.append(_Outcome(answer["seconds"], answer["items"], measured(base_url)))
        return result

    def cell(self, trial: _Trial, outcomes: Sequence[_Outcome], figure: str) -> str:
        """Format a figure with the lost and refused calls, or the reason why there is none."""
        if trial.case.label in self.harness.failures:
            return self.harness.failures[trial.case.label]
        lost = trial.case.items - min(outcome.stored for outcome in outcomes)
        refused = round(statistics.median(len(outcome.sent.refused_at) for outcome in outcomes))
        return f"{figure}, {refused:,} refused" + (f", **{lost:,} lost**" if lost else "")


def _rate_cells(bench: _Bench, condition: str, programs: Sequence[tuple[str, str, str, str | None]]) -> list[str]:
    cells = [condition]
    for program in programs:
        trial = _Trial.from_program(program, condition, _ITEMS)
        outcomes = bench.outcomes(trial)
        seconds = statistics.median([outcome.seconds for outcome in outcomes] or [0.0])
        if condition == _FREE:
            bench.free_seconds[program[0]] = seconds
        # The bucket is full at the start.
        least = (_ITEMS - BUCKET_PER_SECOND) / BUCKET_PER_SECOND if condition == _BUCKET else None
        ideal = least or bench.free_seconds.get(program[0], 0.0)
        cells.append(bench.cell(trial, outcomes, f"{seconds:.1f} s ({ideal / seconds if seconds else 0.0:.2f})"))
    return cells


def _middle_cells(bench: _Bench, programs: Sequence[tuple[str, str, str, str | None]]) -> list[str]:
    """Return how long each takes after an outage until nine tenths of the full rate are reached."""
    cells = [f"{_OUTAGE_ITEMS:,} items, in the middle: until nine tenths of the full rate"]
    for program in programs:
        trial = _Trial.from_program(program, _MIDDLE, _OUTAGE_ITEMS)
        outcomes = bench.outcomes(trial)
        recovered = [_recovered_seconds(outcome.sent) for outcome in outcomes]
        known = [seconds for seconds in recovered if seconds is not None]
        figure = f"{statistics.median(known):.1f} s" if known else "never"
        cells.append(bench.cell(trial, outcomes, figure))
    return cells


def _recovered_seconds(sent: Result) -> float | None:
    end = OUTAGE[1]
    return next((t / 10 for t in range(600) if sent.rate(end + t / 10, end + t / 10 + 1) >= 0.9 * _FULL), None)


def _start_cells(bench: _Bench, programs: Sequence[tuple[str, str, str, str | None]]) -> list[list[str]]:
    """Return how long after its end jobs are done that begin with an outage; all wait side by side."""
    trials = [[_Trial.from_program(program, _START, items) for program in programs] for items in (2, 20, 200)]
    flat = [trial for row in trials for trial in row]
    with ThreadPoolExecutor(len(flat)) as pool:
        outcomes = dict(zip(flat, pool.map(bench.outcomes, flat), strict=True))

    def cell(trial: _Trial) -> str:
        ends = [max(outcome.sent.good_at, default=0.0) - OUTAGE_SECONDS for outcome in outcomes[trial]]
        late = statistics.median(ends or [0.0])
        return bench.cell(trial, outcomes[trial], f"{late:.1f} s" if late > 0 else "never")

    return [[f"{row[0].case.items} items, at the start: until all are done", *map(cell, row)] for row in trials]


if __name__ == "__main__":
    sys.exit(main())
