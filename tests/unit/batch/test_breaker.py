"""The circuit breaker: if every item would fail, only a few do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.batch.breaker import FIRST_CALLS, CircuitBreaker, PauseEvidence
from backstay.batch.outcome import AttemptUsage
from support.data.conversations import claimed, conversation
from support.data.verdicts import completed, completed_with_none, doomed, failed, put_off, retried, skipped


@pytest.mark.parametrize(("concurrency", "calls"), [(1, 20), (19, 20), (20, 20), (21, 21), (500, 500)])
def test_one_error_over_all_first_calls_trips(concurrency, calls):
    """The breaker trips after exactly max(20, concurrency) first calls that ended in the same error."""
    breaker = CircuitBreaker(concurrency=concurrency)
    breaker.note_started(calls)

    pauses = [breaker.record(failed(claimed(position), "http_404")) for position in range(calls)]

    assert pauses[:-1] == [None] * (calls - 1)
    assert pauses[-1].code == "http_404"
    assert pauses[-1].message == f"the first {calls} calls all ended in http_404: it is http_404"
    assert breaker.failed_positions == list(range(calls))


@pytest.mark.parametrize(
    "otherwise",
    [
        completed(claimed(99), conversation()),
        completed_with_none(claimed(99)),
        skipped(claimed(99)),
        retried(claimed(99), usage=AttemptUsage(raw="no JSON")),
        failed(claimed(99), "another"),
    ],
    ids=lambda verdict: f"{verdict.result}-{verdict.code}",
)
@pytest.mark.parametrize("before", [1, 10, 19])
def test_one_call_that_ends_otherwise_lets_all_others_out(otherwise, before):
    """Once a call has ended otherwise, the breaker no longer limits how many calls may start."""
    breaker = CircuitBreaker(concurrency=4)
    breaker.note_started(20)

    for position in range(before):
        assert breaker.record(failed(claimed(position), "http_404")) is None
    assert breaker.record(otherwise) is None

    assert breaker.allowance is None


def test_failures_of_several_kinds_trip_once_nothing_in_the_window_was_good():
    """A window full of failures of two kinds trips the breaker, but one success in it prevents that."""
    for good_at in (None, 30):
        breaker = CircuitBreaker(concurrency=1)
        breaker.note_started(51)
        breaker.record(completed(claimed(99)))
        ends = [
            completed(claimed(n)) if n == good_at else failed(claimed(n), ("length", "wrong_shape")[n % 2])
            for n in range(50)
        ]

        pauses = [pause for verdict in ends if (pause := breaker.record(verdict)) is not None]

        if good_at is None:
            assert [pause.code for pause in pauses] == ["length"]
            assert (
                "none of the last 50 calls succeeded: 25 ended in length, 25 ended in wrong_shape" in pauses[0].message
            )
            assert breaker.failed_positions == list(range(50))
        else:
            assert pauses == []


@pytest.mark.parametrize(("concurrency", "window"), [(1, 50), (25, 50), (64, 128)])
@pytest.mark.parametrize("good_before", [1, 1_000])
def test_failures_after_good_calls_trip_once_they_fill_the_window(concurrency, window, good_before):
    """Nine failures in ten of the last max(50, 2 * concurrency) calls trip it, however many succeeded before."""
    breaker = CircuitBreaker(concurrency=concurrency)
    breaker.note_started(good_before + window)
    for position in range(good_before):
        assert breaker.record(completed(claimed(position))) is None

    calls = 0
    while (pause := breaker.record(failed(claimed(10_000 + calls), "wrong_shape"))) is None:
        calls += 1

    most = math.ceil(0.9 * window)
    assert calls + 1 == max(most, window - good_before)
    assert pause.code == "wrong_shape"
    assert pause.message == f"{calls + 1} of the last {window} calls ended in wrong_shape: it is wrong_shape"
    assert breaker.failed_positions == [10_000 + number for number in range(calls + 1)]


def test_calls_in_flight_when_it_tripped_are_requeued_too():
    """Calls that end after the breaker tripped do not push the earlier failures out of the items to requeue."""
    breaker = CircuitBreaker(concurrency=40)
    breaker.note_started(211)
    for position in range(100):
        breaker.record(completed(claimed(position)))

    for position in range(100, 211):  # it trips after 72, while 39 others are in flight
        pause = breaker.record(failed(claimed(position), "length"))

    assert pause is not None
    assert breaker.failed_positions == list(range(100, 211))


def test_refused_outcome_replaces_the_success_in_a_full_window():
    """A window of calls that succeeded trips the breaker once the database has refused nine in ten of them."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(60)
    for position in range(60):
        breaker.record(completed(claimed(position)))

    pauses = [breaker.record_refused(failed(claimed(position), "outcome_refused")) for position in range(10, 55)]

    assert pauses[:-1] == [None] * 44
    assert pauses[-1].message == "45 of the last 50 calls ended in outcome_refused: it is outcome_refused"
    assert sorted(breaker.failed_positions) == list(range(10, 55))
    assert breaker.allowance is None


def test_successes_alone_let_all_others_out():
    """A run whose calls all succeed is not limited once its window fills."""
    breaker = CircuitBreaker(concurrency=1)

    for position in range(100):
        breaker.note_started(1)
        breaker.record(completed(claimed(position)))

        assert breaker.allowance is None


def test_lost_connection_lets_all_others_out_for_good():
    """After a call that got no answer, failures are not those of the start of a run: they have to fill the window."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(51)
    breaker.record(retried(claimed(99)))

    for position in range(49):
        assert breaker.record(failed(claimed(position), "http_404")) is None
        assert breaker.allowance is None
    pause = breaker.record(failed(claimed(49), "http_404"))

    assert pause.message == "50 of the last 50 calls ended in http_404: it is http_404"


def test_one_success_in_eight_keeps_it_from_tripping():
    """A share of failures below nine in ten never trips the breaker."""
    breaker = CircuitBreaker(concurrency=1)

    for position in range(1_000):
        breaker.note_started(1)
        ends_well = position % 8 == 0
        verdict = completed(claimed(position)) if ends_well else failed(claimed(position), "wrong_shape")
        assert breaker.record(verdict) is None


@pytest.mark.parametrize(
    "usage",
    [AttemptUsage(raw="no JSON"), AttemptUsage(raw=""), AttemptUsage(tokens_in=1), AttemptUsage(tokens_out=1)],
    ids=["text", "empty text", "tokens in", "tokens out"],
)
def test_tries_that_will_be_repeated_fill_the_window(usage):
    """Unusable answers trip the breaker even if their items have tries left, and so do empty answers."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(50)

    pauses = [breaker.record(retried(claimed(position % 7), usage=usage)) for position in range(50)]

    assert pauses[:-1] == [None] * 49
    assert pauses[-1].code == "transient"
    assert breaker.failed_positions == [0, 1, 2, 3, 4, 5, 6]


def test_tries_that_do_not_count_never_fill_the_window():
    """Tries that do not count, such as on a rate limit, never trip the breaker."""
    breaker = CircuitBreaker(concurrency=4)

    for position in range(500):
        breaker.note_started(1)
        assert breaker.record(put_off(claimed(position))) is None

    assert breaker.allowance == 20


def test_tries_without_an_answer_do_not_fill_the_window():
    """Retries of calls whose connection was lost before an answer do not trip the breaker."""
    breaker = CircuitBreaker(concurrency=4)

    for position in range(500):
        breaker.note_started(1)
        assert breaker.record(retried(claimed(position))) is None


def test_a_pause_reports_tokens_and_the_latest_attempts():
    """The pause names the tokens that were paid for, and lists the attempts that led to it, newest first."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(20)

    for position in range(20):
        pause = breaker.record(failed(claimed(position, attempt=3), "length", usage=AttemptUsage(100, 50)))

    assert pause.message == "the first 20 calls all ended in length (3,000 tokens): it is length"
    assert pause.evidence == tuple((position, 3) for position in reversed(range(20)))


def test_a_pause_reports_no_tokens_of_calls_that_succeeded():
    """The tokens in a pause's message are those of the failures that it counts."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(50)
    for position in range(5):
        breaker.record(completed(claimed(position), conversation(), usage=AttemptUsage(10_000, 10_000)))

    for position in range(45):
        pause = breaker.record(failed(claimed(position), "length", usage=AttemptUsage(100, 50)))

    assert pause.message == "45 of the last 50 calls ended in length (6,750 tokens): it is length"


def test_doomed_item_is_not_counted():
    """The breaker does not count a `Halt`, which pauses the job for its own reason."""
    breaker = CircuitBreaker(concurrency=1)
    breaker.note_started(20)

    assert breaker.record(doomed(claimed(5))) is None

    assert breaker.allowance == 1
    assert breaker.failed_positions == []


@given(data=st.data(), concurrency=st.integers(1, 60))
def test_allowance_bounds_the_calls(data, concurrency):
    """No more than max(20, concurrency) calls start before one ends otherwise, in any order of starts and ends."""
    breaker = CircuitBreaker(concurrency=concurrency)
    threshold = max(FIRST_CALLS, concurrency)
    started, in_flight, pause = 0, 0, None

    while pause is None:
        room = min(concurrency - in_flight, breaker.allowance)
        new = data.draw(st.integers(min(room, 1 if in_flight == 0 else 0), room))
        breaker.note_started(new)
        started, in_flight = started + new, in_flight + new
        for position in range(data.draw(st.integers(0 if new else 1, in_flight))):
            pause = breaker.record(failed(claimed(position), "no"))
            in_flight -= 1

    assert started == threshold
    assert breaker.allowance == 0


def test_pause_shows_the_tries_since_the_last_success():
    """A verdict that pauses the job gets the tries before it that left their item pending, newest first."""
    evidence = PauseEvidence()
    before = [retried(claimed(1)), completed(claimed(2)), put_off(claimed(3)), failed(claimed(4)), skipped(claimed(5))]
    for verdict in [*before, retried(claimed(6, attempt=2))]:
        assert evidence.note(verdict) is verdict

    assert evidence.note(doomed(claimed(7))) == doomed(claimed(7), evidence=((6, 2), (3, 1)))
