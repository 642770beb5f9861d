"""Does the simulation of waiting match reality? Three of its cells, and the same over real HTTP.

For each cell in virtual time a real job runs at a real server that refuses by the same code, with 64 calls at once.
Both are measured from the tenth second on. They should agree within 15 %.
"""

import argparse
import asyncio
import random
import statistics
import sys
from pathlib import Path

import workload
from backstay import Backstay, Recipe, StopSignal
from backstay.generate.rate import AccountRate
from measurement import print_table, scratch
from refusing_provider import CONDITIONS, measured, refusing_provider

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fakes.provider_simulation import Result, Simulation

QUESTION = "Does the simulation of waiting match reality?"

_CELLS = ("5 % of 429, Retry-After 1", "bucket of 50 a second, true Retry-After", "20 at once")
_SLOTS = 64
_ITEMS = 10_000
_FROM_SECOND, _TO_SECOND = 10.0, 30.0
_TOLERANCE = 0.15


def main() -> int:
    """Return the number of cells that do not agree."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run, of which the median counts")
    parser.add_argument("--items", type=int, help="ignored: each run takes 30 seconds")
    parser.add_argument("--folder", type=Path, help="where databases are made")
    options = parser.parse_args()
    print(f"## {QUESTION}\n\n`python benchmarks/waiting_over_http.py --rounds {options.rounds}`\n", flush=True)
    rows, wrong = [], 0
    for cell in _CELLS:
        simulated = [_figures(_simulated(cell, seed)) for seed in range(options.rounds)]
        real = [_figures(asyncio.run(_real(cell, options.folder))) for _ in range(options.rounds)]
        (rate, share), (real_rate, real_share) = map(_medians, (simulated, real))
        ratio = real_rate / rate
        wrong += abs(ratio - 1) > _TOLERANCE
        rows.append([cell, f"{rate:.1f}", f"{real_rate:.1f}", f"{ratio:.2f}", f"{share:.1%}", f"{real_share:.1%}"])
    header = ["provider", "simulated, answers a second", "over HTTP", "ratio", "simulated, refused", "over HTTP"]
    print_table(header, rows)
    return wrong


def _simulated(cell: str, seed: int) -> Result:
    random.seed(seed)
    return Simulation(AccountRate(), CONDITIONS[cell](), slots=_SLOTS, items=_ITEMS, seed=seed).run(_TO_SECOND)


async def _real(cell: str, parent: Path | None) -> Result:
    with scratch(parent) as folder, refusing_provider(cell) as base_url:
        async with Backstay.open(folder / "library.db") as backstay:
            stop = StopSignal()
            asyncio.get_running_loop().call_later(_TO_SECOND + 1, stop.request)
            recipe = Recipe(model="local", base_url=base_url)
            await backstay.batches.run("cell", workload.items(_ITEMS), recipe, concurrency=_SLOTS, stop=stop)
        return await asyncio.to_thread(measured, base_url)


def _figures(result: Result) -> tuple[float, float]:
    return result.rate(_FROM_SECOND, _TO_SECOND), result.refused_share(_FROM_SECOND, _TO_SECOND)


def _medians(figures: list[tuple[float, float]]) -> tuple[float, float]:
    rates, shares = zip(*figures, strict=True)
    return statistics.median(rates), statistics.median(shares)


if __name__ == "__main__":
    sys.exit(main())
