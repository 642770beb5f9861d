"""The delay before the next try."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.batch.backoff import Backoff


@given(tries=st.integers(1, 10_000), first=st.floats(0.001, 100), cap=st.floats(0.001, 1_000))
def test_wait_is_between_half_and_all_of_the_step(tries, first, cap):
    """The delay doubles with each try, stays within the cap, and never overflows."""
    full = min(cap, first * 2.0 ** min(tries - 1, 60))

    wait = Backoff(first_seconds=first, max_seconds=cap).delay(tries)

    assert full / 2 <= wait <= full


def test_waits_are_spread():
    """Items that failed together are not retried together."""
    backoff = Backoff()

    assert len({backoff.delay(3) for _ in range(50)}) > 40


@pytest.mark.parametrize(
    ("retry_after", "wait"), [(0, 0), (0.25, 0.25), (12, 12), (600, 600), (601, 600), (math.inf, 600)]
)
def test_retry_after_is_honoured_up_to_its_cap(retry_after, wait):
    """A `Retry-After` replaces the computed delay, and a too long one is cut to the cap."""
    assert (
        Backoff(first_seconds=1, max_seconds=60, max_retry_after_seconds=600).delay(1, retry_after_seconds=retry_after)
        == wait
    )


@pytest.mark.parametrize("retry_after", [-1, -math.inf, math.nan])
def test_invalid_retry_after_is_ignored(retry_after):
    """A `Retry-After` that is negative or not a number does not change the computed delay."""
    assert 0.5 <= Backoff(first_seconds=1).delay(1, retry_after_seconds=retry_after) <= 1
