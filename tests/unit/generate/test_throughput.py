"""The throughput that the rate limiter achieves: a part of `benchmarks/waiting_simulation.py`, with goals."""

import math
import random

import pytest

from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind
from backstay.generate.rate import AccountRate
from support.fakes.provider_simulation import (
    ROUND_TRIP_SECONDS,
    BucketLimit,
    ConcurrencyLimit,
    Outage,
    RandomRefusals,
    Simulation,
)

_SLOTS = 64
_FULL_RATE = _SLOTS / ROUND_TRIP_SECONDS
_SETTLED = 10.0


@pytest.fixture(autouse=True)
def _seed():
    random.seed(7)


class _HaltOnRefusal(AccountRate):
    """A rule that treats each rejection as a limit and blocks all calls for a second."""

    def __init__(self):
        super().__init__()
        self._until = 0.0

    def wait(self, now, tokens):
        return max(self._until - now, super().wait(now, tokens))

    def record_trouble(self, now, permit, trouble, retries=0):
        self._until = now + 1.0
        return super().record_trouble(now, permit, trouble, retries)


class _NeverWait(AccountRate):
    """A rule without a limit, where each rejected item waits alone."""

    def wait(self, now, tokens):
        return 0.0


def _share_under_random_refusals(rule, share, named):
    provider = RandomRefusals(share, ProviderTrouble(TroubleKind.LIMIT, "429", named))
    return Simulation(rule, provider, slots=_SLOTS).run(25.0).rate(_SETTLED, 25.0) / _FULL_RATE


@pytest.mark.parametrize("named", [None, 1.0, 600.0])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_random_refusals_cost_little(share, named):
    """Random rejections leave at least 0.8 of the rate of successful calls, with any Retry-After."""
    assert _share_under_random_refusals(AccountRate(), share, named) >= 0.8 * (1 - share)


def test_control_a_rule_that_halts_on_each_refusal_loses_the_rate():
    """A rule that blocks all calls after each rejection misses the goal for random rejections."""
    assert _share_under_random_refusals(_HaltOnRefusal(), 0.05, 1.0) < 0.5


_LIMITS = {
    "ten a second": (lambda: BucketLimit(lambda _: 10.0), 10.0),
    "fifty a second, true Retry-After": (lambda: BucketLimit(lambda _: 50.0, retry_after="true"), 50.0),
    "fifty a second, Retry-After of ten minutes": (lambda: BucketLimit(lambda _: 50.0, retry_after=600.0), 50.0),
    "fifty a second, Retry-After of nothing": (lambda: BucketLimit(lambda _: 50.0, retry_after=0.0), 50.0),
    "tokens for fifty a second": (lambda: BucketLimit(lambda _: 10_000.0, by_tokens=True), 50.0),
    "twenty at once": (lambda: ConcurrencyLimit(20), 20 / ROUND_TRIP_SECONDS),
}


def _under_limit(rule, name, *, items=math.inf, seconds=90.0):
    provider, allowed = _LIMITS[name]
    result = Simulation(rule, provider(), slots=_SLOTS, items=items).run(seconds)
    return result.rate(_SETTLED, seconds) / allowed, result.refused_share(_SETTLED, seconds)


@pytest.mark.parametrize("name", _LIMITS)
def test_a_limit_is_found_and_kept(name):
    """After ten seconds, at least 0.93 of a limit is used, and at most one call in twenty is rejected."""
    rate, refused = _under_limit(AccountRate(), name)

    assert rate >= 0.93
    assert refused <= 0.05


def test_control_a_rule_that_knows_no_limit_is_refused():
    """A rule without a limit misses the goal for rejected calls."""
    _, refused = _under_limit(_NeverWait(), "ten a second", items=2_000, seconds=40.0)

    assert refused > 0.5


def test_a_limit_that_changes_is_found_again():
    """When a limit changes from fifty a second to ten and back, the rate follows within half a minute."""
    provider = BucketLimit(lambda now: 10.0 if 30.0 <= now < 70.0 else 50.0)

    result = Simulation(AccountRate(), provider, slots=_SLOTS).run(120.0)

    assert result.rate(35.0, 70.0) >= 0.93 * 10
    assert result.rate(95.0, 120.0) >= 0.93 * 50


_OUTAGES = {
    "503": Outage(0.0, 60.0),
    "503, true Retry-After": Outage(0.0, 60.0, names_end=True),
    "cut": Outage(0.0, 60.0, TroubleKind.INTERRUPTED),
    "connection refused": Outage(0.0, 60.0, TroubleKind.UNREACHED),
}


@pytest.mark.parametrize("name", _OUTAGES)
@pytest.mark.parametrize("items", [2, 20, 200])
def test_no_item_is_lost_in_an_outage(items, name):
    """A job that begins with a one-minute outage ends within five seconds after it, with few rejected calls."""
    result = Simulation(AccountRate(), _OUTAGES[name], slots=_SLOTS, items=items).run()

    assert len(result.good_at) == items
    assert result.ended_at <= 65.0
    assert len(result.refused_at) <= 60 + items


@pytest.mark.parametrize("cause", [TroubleKind.OVERLOAD, TroubleKind.UNREACHED])
def test_the_full_rate_is_back_within_five_seconds(cause):
    """Within five seconds after a one-minute outage, calls reach the full rate."""
    result = Simulation(AccountRate(), Outage(10.0, 70.0, cause), slots=_SLOTS).run(80.0)

    assert result.rate(74.5, 75.5) >= 0.9 * _FULL_RATE
    assert len(result.refused_at) <= 4 * _SLOTS


def test_long_calls_start_again_before_the_first_has_ended():
    """After an outage, calls of ten seconds start before the first probe has its answer."""
    result = Simulation(AccountRate(), Outage(60.0, 120.0), slots=_SLOTS, call_seconds=10.0).run(160.0)

    assert result.rate(140.0, 160.0) >= 0.8 * _SLOTS / 10
