"""Backstay and other programs that call a model: how long they need at a provider that is not the limit.

A server on this machine answers each call after half a second, and 200 calls are under way, so that a program that
costs nothing would need five seconds for 2,000 items. How each program is measured and kept fair is in its script.
"""

import argparse
import math
import sys
import tempfile
from functools import partial
from pathlib import Path

from harness import Case, Harness
from local_provider import local_provider
from measurement import measure, scratch, spread

_SECONDS = 0.5
_IN_FLIGHT = 200
_ITEMS = 2_000
_IDEAL = _SECONDS * _ITEMS / _IN_FLIGHT

CASES = (
    Case("Backstay", "backstay_generation.py", "generate", _ITEMS),
    Case("curator", "curator_generation.py", "generate", _ITEMS, "curator"),
    Case("async-batch-llm, store at FULL", "async_batch_llm_generation.py", "full", _ITEMS, "async-batch-llm"),
    Case("async-batch-llm, nothing stored", "async_batch_llm_generation.py", "memory", _ITEMS, "async-batch-llm"),
    Case("distilabel", "distilabel_generation.py", "generate", _ITEMS, "distilabel"),
)
_DURABLE = {
    "Backstay": "each, flushed to disk",
    "curator": "each, against the end of the process",
    "async-batch-llm, store at FULL": "each, flushed to disk",
    "async-batch-llm, nothing stored": "no",
    "distilabel": "by the batch, against the end of the process",
}


def main() -> int:
    """Return the number of cases that failed."""
    options = _parse()
    print("### How long do 2,000 items take when each answer takes half a second?\n")
    print(f"`python benchmarks/side_by_side_generation.py --rounds {options.rounds}`\n", flush=True)
    with scratch(options.folder) as folder, local_provider(_SECONDS) as base_url:
        harness = Harness(folder, ["--base-url", base_url])
        harness.install(CASES)
        _compare(harness, options)
    print(f"The ideal, of a program that costs nothing: {_IDEAL:g} s.\n")
    harness.print_versions()
    return len(harness.failures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where results are kept (%(default)s)"
    )
    return parser.parse_args()


def _compare(harness: Harness, options: argparse.Namespace) -> None:
    measured = measure(
        [partial(_figures, harness, case) for case in CASES], rounds=options.rounds, folder=options.folder
    )

    def cells(case: Case) -> list[str]:
        seconds = measured[_seconds(case)]
        reference = measured.get(_seconds(CASES[0])) or [math.nan] * len(seconds)
        return [
            spread(seconds, 2),
            spread([item / our for item, our in zip(seconds, reference, strict=False)], 2),
            spread([1000 * cpu / case.items for cpu in measured[_cpu(case)]], 2),
            _DURABLE[case.label],
        ]

    header = ["way", "seconds", "relative to Backstay, times", "CPU, milliseconds an item", "what is done survives"]
    harness.print(CASES, header, cells)


def _figures(harness: Harness, case: Case, folder: Path) -> dict[str, float]:
    answer = harness.measure(case, folder)
    return {} if answer is None else {_seconds(case): answer["seconds"], _cpu(case): answer["cpu_seconds"]}


def _seconds(case: Case) -> str:
    return f"{case.label}: seconds"


def _cpu(case: Case) -> str:
    return f"{case.label}: CPU"


if __name__ == "__main__":
    sys.exit(main())
