"""Which rule of waiting keeps most of what a provider allows? In virtual time, with the production rule among others.

Nothing here waits: a provider, a job and its slots are simulated, so that an outage of a minute takes a second.
"""

import argparse
import math
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind
from backstay.generate.rate import AccountRate
from measurement import print_table
from waiting_rules import Aimd, Alone, HoldAll

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fakes.provider_simulation import (
    ROUND_TRIP_SECONDS,
    BucketLimit,
    ConcurrencyLimit,
    Condition,
    Outage,
    RandomRefusals,
    Result,
    Rule,
    Simulation,
)

QUESTION = "Which rule of waiting keeps most of what a provider allows?"

_RULES: Mapping[str, Callable[[], Rule]] = {
    "chosen": AccountRate,
    "the rule before": HoldAll,
    "each call alone": Alone,
    "AIMD on concurrency": Aimd,
}
_SETTLED_SECONDS = 10.0  # until here a limit may be looked for
_SECONDS = 120.0
_OUTAGE = (20.0, 80.0)
_TRIES = 3  # of the rule before, under which a refusal took one
_NAMED: Mapping[str, str | float | None] = {"none": None, "true": "true", "600 s": 600.0, "0 s": 0.0}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    provider: Callable[[], Condition]
    allowed: float
    """Good answers a second, between the settled time and the end, of a client that knew all."""
    items: float = math.inf
    seconds: float = _SECONDS


def _changing(now: float) -> float:
    return 10.0 if 60.0 <= now < 120.0 else 50.0


def _random(share: float, cause: TroubleKind, named: float | None) -> Callable[[], Condition]:
    return lambda: RandomRefusals(share, ProviderTrouble(cause, "refused", named))


def _bucket(rate: float, named: str, *, by_tokens: bool = False) -> Callable[[], Condition]:
    return lambda: BucketLimit(lambda _: rate, by_tokens=by_tokens, retry_after=_NAMED[named])


def _cases(slots: int) -> list[_Case]:
    free = slots / ROUND_TRIP_SECONDS
    calls = 20 if slots < 300 else 300
    cases = [
        _Case(
            f"random {share:.0%} of {status}, Retry-After {named or 'none'}",
            _random(share, cause, named),
            free,
            seconds=40,
        )
        for share in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
        for status, cause, named in (
            (429, TroubleKind.LIMIT, None),
            (429, TroubleKind.LIMIT, 1.0),
            (503, TroubleKind.OVERLOAD, 600.0),
        )
        if share or named is None
    ]
    cases += [
        _Case(f"bucket of {rate} a second, Retry-After {named}", _bucket(rate, named), rate, 10_000)
        for rate in (10, 50)
        for named in _NAMED
    ]
    cases += [
        _Case(f"bucket of tokens for {rate} a second", _bucket(rate * 200.0, "none", by_tokens=True), rate, 10_000)
        for rate in (10, 50)
    ]
    cases.append(_Case(f"{calls} at once", lambda: ConcurrencyLimit(calls), calls / ROUND_TRIP_SECONDS, 100_000, 60.0))
    cases += [
        _Case(
            f"50, 10, 50 a second, Retry-After {named}",
            lambda named=named: BucketLimit(_changing, retry_after=_NAMED[named]),
            (50 * 110 + 10 * 60) / 170,
            12_000,
            180.0,
        )
        for named in ("none", "true", "600 s")
    ]
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--rounds", type=int, default=1, help="seeds, of which the mean is shown (%(default)s)")
    parser.add_argument("--items", type=int, help="ignored: each cell has its own number")
    parser.add_argument("--folder", type=Path, help="ignored: nothing is written")
    rounds = parser.parse_args().rounds
    print(f"## {QUESTION}\n\n`python benchmarks/waiting_simulation.py --rounds {rounds}`\n", flush=True)
    for slots in (64, 1_000):
        print(f"{slots:,} slots: share of the rate that is allowed, and share of calls refused.\n")
        rows = [[case.name, *(_cell(case, rule, slots, rounds) for rule in _RULES)] for case in _cases(slots)]
        print_table(["provider", *_RULES], rows)
    for slots in (64, 1_000):
        print(f"A minute's outage, {slots:,} slots: seconds from its end to nine tenths of the full rate.\n")
        print_table(
            ["provider", *_RULES],
            [[name, *(_recovery(rule, slots, value) for rule in _RULES)] for name, value in _OUTAGES],
        )
    print("Jobs that begin with a minute's outage: seconds from its end to the job's, calls refused, items lost.\n")
    rows = [
        [f"{items} items, {name}", *(_job(rule, items, value) for rule in _RULES)]
        for items in (2, 20, 200)
        for name, value in _OUTAGES
    ]
    print_table(["job", *_RULES], rows)


_OUTAGES: tuple[tuple[str, tuple[TroubleKind, bool]], ...] = (
    ("503 without Retry-After", (TroubleKind.OVERLOAD, False)),
    ("503 with a true Retry-After", (TroubleKind.OVERLOAD, True)),
    ("connection refused", (TroubleKind.UNREACHED, False)),
)


def _cell(case: _Case, rule: str, slots: int, rounds: int) -> str:
    rates, shares = [], []
    for seed in range(rounds):
        result = _run(rule, case.provider(), slots=slots, items=case.items, seed=seed, seconds=case.seconds)
        rates.append(result.rate(_SETTLED_SECONDS, case.seconds) / case.allowed)
        shares.append(result.refused_share(_SETTLED_SECONDS, case.seconds))
    return f"{sum(rates) / rounds:.2f}, {sum(shares) / rounds:.1%}"


def _recovery(rule: str, slots: int, outage: tuple[TroubleKind, bool]) -> str:
    cause, names_end = outage
    provider = Outage(*_OUTAGE, cause, names_end)
    items = 300 * slots
    result = _run(rule, provider, slots=slots, items=items, seed=1, seconds=_SECONDS + 60)
    full = 0.9 * slots / ROUND_TRIP_SECONDS
    end = _OUTAGE[1]
    return next((f"{at:.1f}" for at in _tenths(100.0) if result.rate(end + at, end + at + 1) >= full), "over 99")


def _tenths(until: float) -> list[float]:
    return [tenth / 10 for tenth in range(int(until * 10))]


def _job(rule: str, items: int, outage: tuple[TroubleKind, bool]) -> str:
    cause, names_end = outage
    seconds = _OUTAGE[1] - _OUTAGE[0]
    result = _run(rule, Outage(0.0, seconds, cause, names_end), slots=64, items=items, seed=1, seconds=3_600.0)
    late = f"{result.ended_at - seconds:.1f} s" if result.good_at else "never"
    return f"{late}, {len(result.refused_at)}, {result.lost}"


def _run(rule: str, provider: Condition, *, slots: int, items: float, seed: int, seconds: float) -> Result:
    random.seed(seed)
    tries = _TRIES if rule != "chosen" else math.inf
    return Simulation(_RULES[rule](), provider, slots=slots, items=items, max_tries=tries, seed=seed).run(seconds)


if __name__ == "__main__":
    main()
