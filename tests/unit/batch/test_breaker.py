"""The breaker: every item would fail, so few do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.batch.breaker import FIRST_CALLS, Breaker
from backstay.batch.job import Pause
from support.conversations import claimed, conversation
from support.verdicts import completed, completed_with_none, doomed, failed, retried, skipped


@pytest.mark.parametrize(("concurrency", "calls"), [(1, 20), (19, 20), (20, 20), (21, 21), (500, 500)])
def test_one_error_over_all_first_calls_trips(concurrency, calls):
    """After max(20, concurrency) calls that ended in the same error, and not before."""
    breaker = Breaker(concurrency=concurrency)
    breaker.started(calls)

    pauses = [breaker.saw(failed(claimed(position), "http_404")) for position in range(calls)]

    assert pauses[:-1] == [None] * (calls - 1)
    assert pauses[-1] == Pause("http_404", f"the first {calls} calls all ended in http_404: it is http_404")
    assert breaker.failed_positions == list(range(calls))


@pytest.mark.parametrize(
    "otherwise",
    [
        completed(claimed(99), conversation()),
        completed_with_none(claimed(99)),
        skipped(claimed(99)),
        retried(claimed(99)),
        failed(claimed(99), "another"),
    ],
    ids=lambda verdict: f"{verdict.result}-{verdict.code}",
)
@pytest.mark.parametrize("before", [1, 10, 19])
def test_one_call_that_ends_otherwise_proves_the_job(otherwise, before):
    """From then on it never trips, and lets out as many calls as there is room for."""
    breaker = Breaker(concurrency=4)
    breaker.started(20)

    for position in range(before):
        assert breaker.saw(failed(claimed(position), "http_404")) is None
    assert breaker.saw(otherwise) is None

    assert breaker.allowance is None
    assert breaker.failed_positions == []
    assert all(breaker.saw(failed(claimed(position), "http_404")) is None for position in range(100, 200))


def test_doomed_item_says_nothing():
    """A doom has its own reason to pause."""
    breaker = Breaker(concurrency=1)
    breaker.started(20)

    assert breaker.saw(doomed(claimed(5))) is None

    assert breaker.allowance == 0
    assert breaker.failed_positions == []


@given(data=st.data(), concurrency=st.integers(1, 60))
def test_allowance_bounds_the_calls(data, concurrency):
    """However calls start and end, no more than max(20, concurrency) are let out before one ends otherwise."""
    breaker = Breaker(concurrency=concurrency)
    threshold = max(FIRST_CALLS, concurrency)
    started, in_flight, pause = 0, 0, None

    while pause is None:
        room = min(concurrency - in_flight, breaker.allowance)
        new = data.draw(st.integers(min(room, 1 if in_flight == 0 else 0), room))
        breaker.started(new)
        started, in_flight = started + new, in_flight + new
        for position in range(data.draw(st.integers(0 if new else 1, in_flight))):
            pause = breaker.saw(failed(claimed(position), "no"))
            in_flight -= 1

    assert started == threshold
    assert breaker.allowance == 0
