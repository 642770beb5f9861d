"""How fast a provider may be asked, in a time that the test moves."""

import bisect
import math

import pytest

from backstay.generate.pace import Bucket, Leave, Pace


def _starts(pace: Pace, *, seconds: float, tokens: int = 0, at_once: int = 10**9) -> list[float]:
    """When calls start that want to start as soon as they may; each is over at once, or when room is needed."""
    now, starts = 0.0, []
    while now < seconds:
        wait = pace.wait(now, tokens)
        if wait <= 0.0:
            starts.append(now)
            pace.end(now, pace.start(now, tokens), tokens)
        else:
            now += wait
    return starts


def _most_in_a_minute(starts: list[float]) -> int:
    return max(bisect.bisect_left(starts, start + 60) - at for at, start in enumerate(starts))


@pytest.mark.parametrize("rpm", [1, 7, 60, 100, 600, 3_000])
def test_no_minute_has_more_requests_than_allowed(rpm):
    """In any minute, also across the burst at the start; and nearly all that is allowed is used."""
    starts = _starts(Pace(rpm=rpm), seconds=300)

    assert _most_in_a_minute(starts) <= rpm
    assert len(starts) >= 0.9 * rpm * 5


def test_control_without_the_bound_it_is_broken():
    """The same count, of a pace that has no bound."""
    pace = Pace()

    assert all(pace.wait(0.0, 0) == 0.0 for _ in range(100) if pace.start(0.0, 0))


@pytest.mark.parametrize("tokens", [10, 400, 3_000])
def test_no_minute_has_more_tokens_than_allowed(tokens):
    """Small requests and such as are larger than the burst; of one request more than allowed at most."""
    starts = _starts(Pace(tpm=10_000), seconds=300, tokens=tokens)

    assert _most_in_a_minute(starts) * tokens <= 10_000 + tokens
    assert len(starts) * tokens >= 0.8 * 50_000


def test_tokens_are_corrected_by_what_was_used():
    """A guess that was too high gives back, one that was too low is owed."""
    generous, short = Pace(tpm=6_000), Pace(tpm=6_000)

    generous.end(0.0, generous.start(0.0, 300), 10)
    short.end(0.0, short.start(0.0, 300), 900)

    assert generous.wait(0.0, 200) == 0.0
    assert short.wait(0.0, 1) > 5


def test_a_refusal_halves_the_room_once():
    """Calls that were under way together count as one complaint, however many are refused."""
    pace = Pace()
    leaves = [pace.start(0.0, 0) for _ in range(100)]

    for leave in leaves:
        pace.refused(1.0, leave, None)
        pace.end(1.0, leave, None)

    assert pace.refusals == 1
    assert pace.room == 1
    assert _grown(pace, 49) == 50
    assert _grown(pace, 20) == pytest.approx(51)


def test_after_a_refusal_one_goes_first():
    """And each that comes back well makes room for one more."""
    pace = Pace()
    first = [pace.start(0.0, 0) for _ in range(8)]
    for leave in first:
        pace.refused(0.0, leave, 5.0)
        pace.end(0.0, leave, None)

    assert pace.wait(4.0, 0) == pytest.approx(1.0)
    leave = pace.start(5.0, 0)
    assert pace.wait(5.0, 0) == math.inf
    pace.succeeded()
    pace.end(6.0, leave, None)
    waits = []
    for _ in range(3):
        waits.append(pace.wait(6.0, 0))
        pace.start(6.0, 0)
    assert waits == [0.0, 0.0, math.inf]


def test_the_longest_wait_that_was_asked_for_holds():
    """Later answers of the same burst may ask for more; asking for less changes nothing."""
    pace = Pace()
    leaves = [pace.start(0.0, 0) for _ in range(3)]

    for leave, asked in zip(leaves, (3.0, 10.0, 1.0), strict=True):
        pace.refused(0.0, leave, asked)
        pace.end(0.0, leave, None)

    assert pace.wait(0.0, 0) == 10.0


def test_without_a_word_the_waits_double():
    """1, 2, 4, … up to a minute, as long as nothing comes back well; a good answer starts anew."""
    pace, now, waits = Pace(), 0.0, []

    for _ in range(9):
        now += 0.001
        leave = pace.start(now, 0)
        pace.refused(now, leave, None)
        pace.end(now, leave, None)
        waits.append(round(pace.wait(now, 0)))
        now += pace.wait(now, 0)
    pace.succeeded()
    leave = pace.start(now + 1, 0)
    pace.refused(now + 1, leave, None)
    pace.end(now + 1, leave, None)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pace.wait(now + 1, 0) == 1.0


def test_a_provider_that_always_says_soon_is_not_believed_for_ever():
    """From the fourth refusal in a row on, our own wait holds when it is longer."""
    pace, now = Pace(), 0.0
    for _ in range(6):
        now += pace.wait(now, 0) + 0.001
        leave = pace.start(now, 0)
        pace.refused(now, leave, 0.5)
        pace.end(now, leave, None)

    assert pace.wait(now, 0) == 32


def test_a_quota_is_learnt_from_the_second_complaint_on():
    """A provider that answers at once and allows ten a second is asked about ten times a second."""
    pace, now, recent, refused, good = Pace(), 0.0, [], 0, 0
    while now < 60:
        wait = pace.wait(now, 0)
        if wait > 0:
            now += wait
            continue
        leave = pace.start(now, 0)
        recent = [at for at in recent if now - at < 1.0]
        if len(recent) >= 10:
            refused += 1
            pace.refused(now, leave, 1.001 - (now - recent[0]))
        else:
            good += 1
            recent.append(now)
            pace.succeeded()
        pace.end(now, leave, None)
        now += 0.001

    assert good >= 450
    assert refused <= good / 20


def test_a_bucket_gives_back_no_more_than_it_holds():
    """What was reserved and not used never makes a burst larger than any other."""
    bucket = Bucket(60, burst=10)

    bucket.take(0.0, -1_000)

    assert bucket.wait(0.0, 10) == 0.0
    bucket.take(0.0, 10)
    assert bucket.wait(0.0, 1) > 0.5


def _grown(pace: Pace, successes: int) -> float:
    for _ in range(successes):
        pace.succeeded()
    return pace.room


def test_an_end_without_tokens_changes_nothing():
    """A call whose tokens nobody knows keeps what was reserved for it."""
    pace = Pace(tpm=600)
    leave = pace.start(0.0, 30)

    pace.end(0.0, leave, None)

    assert isinstance(leave, Leave)
    assert pace.wait(0.0, 30) > 0
