"""The rate of an account, in simulated time."""

import bisect
import math
import random

import pytest

from backstay.generate import failure_handler
from backstay.generate.adaptive_limit import LimitMode
from backstay.generate.provider_trouble import OutageTimer, ProviderTrouble, TroubleKind
from backstay.generate.rate import AccountRate, Bucket

LIMIT = ProviderTrouble(TroubleKind.LIMIT, "429")
OVERLOAD = ProviderTrouble(TroubleKind.OVERLOAD, "503")


@pytest.fixture(autouse=True)
def _seed():
    random.seed(7)


def _starts(rate: AccountRate, *, seconds: float, tokens: int = 0, most: float = math.inf) -> list[float]:
    """Return the start times of calls, at most so many, that start as early as allowed and end at once."""
    now, starts = 0.0, []
    while now < seconds and len(starts) < most:
        wait = rate.wait(now, tokens)
        if wait <= 0.0:
            starts.append(now)
            rate.end(now, rate.start(now, tokens), tokens)
        else:
            now += wait
    return starts


def _most_in_a_minute(starts: list[float]) -> int:
    return max(bisect.bisect_left(starts, start + 60) - at for at, start in enumerate(starts))


def _refuse(rate: AccountRate, now: float, trouble: ProviderTrouble = OVERLOAD, retries: int = 0) -> float:
    """Make one rejected call, and return the delay of its item."""
    permit = rate.start(now, 0)
    delay = rate.record_trouble(now, permit, trouble, retries)
    rate.end(now, permit, None)
    return delay


def _succeed(rate: AccountRate, now: float) -> None:
    permit = rate.start(now, 0)
    rate.record_success(now, permit)
    rate.end(now, permit, None)


def _held(trouble: ProviderTrouble = OVERLOAD) -> AccountRate:
    """Return a rate at time 0 after ten calls were rejected together."""
    rate = AccountRate()
    for permit in [rate.start(0.0, 0) for _ in range(10)]:
        rate.record_trouble(0.0, permit, trouble)
        rate.end(0.0, permit, None)
    assert rate._limit.mode is LimitMode.BACKOFF
    return rate


@pytest.mark.parametrize("rpm", [1, 7, 60, 100, 600, 3_000])
def test_no_minute_has_more_requests_than_allowed(rpm):
    """A limit on requests holds in any minute, the initial burst included, and nearly all of it is used."""
    starts = _starts(AccountRate(rpm=rpm), seconds=300)

    _check_minutes(starts, rpm)
    assert len(starts) >= 0.9 * rpm * 5


def test_control_without_the_bound_it_is_broken():
    """Without a limit on requests, more calls than it allows start in a minute."""
    with pytest.raises(AssertionError, match=r"^a minute has 700 requests"):
        _check_minutes(_starts(AccountRate(), seconds=300, most=700), 600)


def _check_minutes(starts: list[float], rpm: int) -> None:
    most = _most_in_a_minute(starts)
    assert most <= rpm, f"a minute has {most} requests"


@pytest.mark.parametrize("tokens", [10, 400, 3_000])
def test_no_minute_has_more_tokens_than_allowed(tokens):
    """A limit on tokens holds for small requests and for requests larger than the burst."""
    starts = _starts(AccountRate(tpm=10_000), seconds=300, tokens=tokens)

    assert _most_in_a_minute(starts) * tokens <= 10_000 + tokens
    assert len(starts) * tokens >= 0.8 * 50_000


def test_tokens_are_corrected_by_what_was_used():
    """An estimate that was too high returns tokens, and one that was too low leaves a debt."""
    generous, short = AccountRate(tpm=6_000), AccountRate(tpm=6_000)

    generous.end(0.0, generous.start(0.0, 300), 10)
    short.end(0.0, short.start(0.0, 300), 900)

    assert generous.wait(0.0, 200) == 0.0
    assert short.wait(0.0, 1) > 5


def test_an_end_without_tokens_changes_nothing():
    """A call without reported usage keeps its estimated tokens."""
    rate = AccountRate(tpm=600)

    rate.end(0.0, rate.start(0.0, 30), None)

    assert rate.wait(0.0, 30) > 0


def test_a_bucket_gives_back_no_more_than_it_holds():
    """Returned tokens never make a burst larger than the bucket."""
    bucket = Bucket(60, burst=10)

    bucket.take(0.0, -1_000)

    assert bucket.wait(0.0, 10) == 0.0
    bucket.take(0.0, 10)
    assert bucket.wait(0.0, 1) > 0.5


@pytest.mark.parametrize("trouble", [LIMIT, OVERLOAD, ProviderTrouble(TroubleKind.LIMIT, "429", 600.0)])
def test_a_single_refusal_slows_nobody_down(trouble):
    """A single rejection among good answers does not slow the account, with any Retry-After."""
    rate = AccountRate()
    for _ in range(20):
        _succeed(rate, 0.0)

    _refuse(rate, 1.0, trouble)

    assert rate._limit.mode is LimitMode.FREE
    assert rate.wait(1.0, 0) == 0.0
    assert rate.waiting(1.0) is None
    assert rate.accepts_calls(1.0)


def test_a_refused_item_waits_longer_each_time():
    """The backoff of an item doubles from half a second to half a minute, with a jitter of at most half."""
    rate = AccountRate()
    delays = []
    for retries in range(9):
        _succeed(rate, 0.0)
        delays.append(_refuse(rate, 0.0, retries=retries))

    full = [min(30.0, 0.5 * 2**retries) for retries in range(9)]
    assert all(whole / 2 <= delay <= whole for delay, whole in zip(delays, full, strict=True))


@pytest.mark.parametrize(
    ("named", "delays"), [(2.0, [2, 2, 2]), (60.0, [5, 10, 20]), (86_400.0, [5, 10, 20, 40, 60, 60])]
)
def test_a_named_time_is_believed_the_longer_the_more_it_holds(named, delays):
    """An item waits a short Retry-After fully, and a growing part of a long one while others succeed."""
    rate = AccountRate()
    trouble = ProviderTrouble(TroubleKind.LIMIT, "429", named)

    waited = []
    for retries in range(len(delays)):
        _succeed(rate, 0.0)
        waited.append(_refuse(rate, 0.0, trouble, retries))

    assert waited == delays


def test_refusals_of_calls_under_way_together_are_one_event():
    """Rejections of concurrent calls cause one backoff, and later ones do not extend it."""
    rate = AccountRate()
    permits = [rate.start(0.0, 0) for _ in range(100)]
    for permit in permits[:60]:
        rate.record_trouble(0.0, permit, LIMIT)
    held = rate.wait(0.0, 0)

    for permit in permits[60:]:
        rate.record_trouble(0.4, permit, LIMIT)

    assert rate._limit.mode is LimitMode.BACKOFF
    assert rate.wait(0.4, 0) == pytest.approx(held - 0.4)


def test_one_probe_goes_at_a_time_at_growing_intervals():
    """During a backoff, single probes go after 0.5, 1 and 2 seconds, then every 3 seconds."""
    rate, now, waits = _held(), 0.0, []

    for _ in range(6):
        wait = rate.wait(now, 0)
        waits.append(wait)
        now += wait
        permit = rate.start(now, 0)
        assert rate.wait(now, 0) > 0
        rate.record_trouble(now, permit, OVERLOAD)
        rate.end(now, permit, None)

    assert waits == pytest.approx([0.5, 1, 2, 3, 3, 3])


def test_a_named_time_holds_the_account_and_is_probed_when_it_is_long():
    """A Retry-After of ten seconds gets two early probes, and one of ten minutes gets a probe a minute at most."""
    waits = {}
    for named in (10.0, 600.0):
        rate, now, waits[named] = _held(ProviderTrouble(TroubleKind.LIMIT, "429", named)), 0.0, []
        while now < min(named, 250.0):
            wait = rate.wait(now, 0)
            waits[named].append(round(wait))
            now += wait
            _refuse(rate, now, ProviderTrouble(TroubleKind.LIMIT, "429", named - now))

    assert waits == {10.0: [2, 4, 4], 600.0: [2, 4, 8, 16, 32, 60, 60, 60, 60]}


def test_a_named_time_is_believed_when_answers_are_rare():
    """A Retry-After delays the first probe also when good answers were rarer than probes."""
    rate = AccountRate()
    for at in range(6):
        _succeed(rate, 10.0 * at)

    for permit in [rate.start(60.0, 0) for _ in range(30)]:
        rate.record_trouble(60.0, permit, ProviderTrouble(TroubleKind.LIMIT, "429", 600.0))
        rate.end(60.0, permit, None)

    assert rate._limit.mode is LimitMode.BACKOFF
    assert rate.wait(60.0, 0) == 2.0


def test_calls_that_may_have_to_be_paid_are_made_more_rarely():
    """Probes that time out, and may be charged, are less frequent than others."""
    waits = {}
    for cause in (TroubleKind.INTERRUPTED, TroubleKind.SILENT):
        trouble = ProviderTrouble(cause, "nothing")
        rate, now, waits[cause] = _held(trouble), 0.0, []
        for _ in range(9):
            wait = rate.wait(now, 0)
            waits[cause].append(wait)
            now += wait
            _refuse(rate, now, trouble)

    assert waits == {
        TroubleKind.INTERRUPTED: [0.5, 1, 2, *6 * [3]],
        TroubleKind.SILENT: [0.5, 1, 2, 4, 8, 16, 30, 30, 30],
    }


def test_a_named_time_is_not_believed_once_an_answer_passes():
    """A successful probe ends the backoff despite a Retry-After of ten minutes."""
    rate = _held(ProviderTrouble(TroubleKind.LIMIT, "429", 600.0))

    _succeed(rate, 2.0)

    assert rate._limit.mode is LimitMode.RAMP
    assert rate.wait(2.0, 0) == 0.0
    assert rate.accepts_calls(2.0)


@pytest.mark.parametrize(("trouble", "after"), [(OVERLOAD, [2, 4, 8, 16]), (LIMIT, [2, 3, 4, 5])])
def test_good_answers_let_the_others_follow(trouble, after):
    """Each good answer doubles the concurrency after an outage, and increases it by one after a limit."""
    rate, allowed = _held(trouble), []

    for _ in range(4):
        _succeed(rate, 1.0)
        permits = []
        while rate.wait(1.0, 0) == 0.0:
            permits.append(rate.start(1.0, 0))
        allowed.append(len(permits))
        for permit in permits:
            rate.end(1.0, permit, None)

    assert allowed == after


def test_a_probe_that_is_under_way_for_long_counts_as_taken():
    """If rejections are instant, a probe that is in flight for a second allows the next calls."""
    rate = _held()
    rate.start(0.5, 0)

    assert rate.wait(0.6, 0) == pytest.approx(0.9)
    assert rate.wait(1.5, 0) == 0.0


def test_a_probe_that_proves_nothing_lets_another_go():
    """A cancelled probe allows another one at once."""
    rate = _held()

    rate.end(0.7, rate.start(0.7, 0), None)

    assert rate.wait(0.7, 0) == 0.0


def test_waiting_names_cause_reason_and_seconds():
    """During a backoff, the account reports cause, reason and seconds, and nothing after a good answer."""
    rate = _held(ProviderTrouble(TroubleKind.LIMIT, "429: per-minute quota", 2.0))

    waiting = rate.waiting(0.5)

    assert waiting is not None
    assert (waiting.cause, waiting.reason, waiting.seconds) == (TroubleKind.LIMIT, "429: per-minute quota", 1.5)
    _succeed(rate, 2.0)
    assert rate.waiting(2.0) is None


@pytest.mark.parametrize("items", [2, 2_000])
@pytest.mark.parametrize(
    ("trouble", "is_proven", "seconds"),
    [
        (OVERLOAD, True, 600),
        (OVERLOAD, False, 600),
        (ProviderTrouble(TroubleKind.INTERRUPTED, "cut"), False, 600),
        (ProviderTrouble(TroubleKind.UNREACHED, "refused"), True, 600),
        (ProviderTrouble(TroubleKind.UNREACHED, "refused"), False, 15),
        (ProviderTrouble(TroubleKind.OVERLOAD, "503", 1.0), True, 600),
        (ProviderTrouble(TroubleKind.OVERLOAD, "503", 900.0), True, 3_600),
    ],
)
def test_patience_is_time_whatever_the_number_of_items(trouble, is_proven, seconds, items):
    """Patience lasts ten minutes, up to an hour with a Retry-After, and less for an address that never answered."""
    rate, now = AccountRate(), 0.0
    if is_proven:
        _succeed(rate, now)
    due = [0.0] * min(items, 10)

    while rate.reason_to_stop(now) is None:
        at = due.index(min(due))
        now = max(now, due[at])
        now += wait if (wait := rate.wait(now, 0)) < math.inf else 0.0
        due[at] = now + _refuse(rate, now, trouble, 8)

    assert seconds <= now <= seconds + 61


def test_a_named_time_beyond_an_hour_ends_patience_at_once():
    """A Retry-After of a day ends patience at once, but only when no calls succeed."""
    rate = AccountRate()
    day = ProviderTrouble(TroubleKind.LIMIT, "429", 86_400.0)
    _succeed(rate, 0.0)

    _refuse(rate, 0.0, day)
    assert rate.reason_to_stop(0.0) is None
    for at in (1.0, 2.0, 3.0):
        _refuse(rate, at, day)

    assert rate.reason_to_stop(3.0) == "it asks to wait 24 h, and no call succeeds"


def test_a_time_without_calls_is_not_waited():
    """Rejections in an earlier job do not count against the patience of a later one."""
    rate = _held()

    _refuse(rate, 5_000.0)
    _refuse(rate, 5_003.0)

    assert rate.reason_to_stop(5_003.0) is None


def test_rate_counts_good_answers():
    """The rate counts good answers, rejected calls excluded."""
    rate = AccountRate()
    _succeed(rate, 0.0)
    _refuse(rate, 0.0)
    _succeed(rate, 0.0)

    assert rate.good_count == 2


def test_the_longest_time_that_a_job_may_be_asked_to_wait_is_waited_for():
    """The longest Retry-After that a job waits for does not end patience through rounding errors."""
    trouble = ProviderTrouble(TroubleKind.LIMIT, "429", failure_handler._MAX_RETRY_AFTER_SECONDS)
    for number in range(1_000):
        now, patience = 1_000.0 + number / 7, OutageTimer(600.0)
        patience.restart(is_good=True)
        patience.record_trouble(now, trouble)

        assert patience.reason_to_stop(now) is None
