"""Decisions whether an error concerns one item or all of them."""

import pytest

from backstay.generate.error_scope import ErrorScope, SuspectedErrors
from backstay.generate.model_call import RecentTries


def _refuse(suspicions, suspected_at=None, *, item=None):
    """Make a rejected call for an item last rejected at that call, and return the scope of the error."""
    call = suspicions.begin()
    blamed = suspicions.judge(call if item is None else item, suspected_at)
    suspicions.end(call)
    return blamed


def _pass(suspicions):
    call = suspicions.begin()
    suspicions.record_success(call)
    suspicions.end(call)


def test_an_item_that_is_refused_again_after_others_passed_is_to_blame():
    """An item that is rejected twice with a success of another item in between causes the error."""
    suspicions = SuspectedErrors()

    assert _refuse(suspicions) is ErrorScope.NOT_KNOWN
    refused_at = suspicions.latest_call
    _pass(suspicions)
    assert _refuse(suspicions, refused_at) is ErrorScope.ITEM


def test_an_item_is_not_blamed_for_what_passed_before_it():
    """Successes before the first rejection of an item do not count against it."""
    suspicions = SuspectedErrors()
    for _ in range(100):
        _pass(suspicions)

    blamed = [_refuse(suspicions) for _ in range(3)]

    assert blamed == [ErrorScope.NOT_KNOWN, ErrorScope.NOT_KNOWN, ErrorScope.ALL]


def test_the_only_item_is_asked_three_times():
    """If no other item is left to try, the third rejection implicates the account, and the item stays pending."""
    suspicions = SuspectedErrors()

    blamed = [_refuse(suspicions, item="only")]
    blamed += [_refuse(suspicions, suspicions.latest_call, item="only") for _ in range(2)]

    assert blamed == [ErrorScope.NOT_KNOWN, ErrorScope.NOT_KNOWN, ErrorScope.ALL]


@pytest.mark.parametrize(("others", "blame"), [(0, ErrorScope.ITEM), (1, ErrorScope.ALL)])
def test_the_last_item_is_to_blame_when_only_it_was_refused(others, blame):
    """The last item causes the error if only it was rejected while calls in flight were accepted."""
    suspicions = SuspectedErrors()
    slow = [suspicions.begin() for _ in range(8)]
    refused = [_refuse(suspicions, item="last"), *(_refuse(suspicions, item="other") for _ in range(others))]
    for call in slow:
        suspicions.record_success(call)
        suspicions.end(call)

    refused += [_refuse(suspicions, suspicions.latest_call, item="last") for _ in range(3)]

    assert refused == [ErrorScope.NOT_KNOWN] * (3 + others) + [blame]


def test_what_was_under_way_at_a_refusal_does_not_speak_against_the_item():
    """Good answers to calls that were in flight at a rejection do not count against the item."""
    suspicions = SuspectedErrors()
    slow = [suspicions.begin() for _ in range(8)]
    assert [_refuse(suspicions) for _ in range(4)] == [ErrorScope.NOT_KNOWN] * 4
    refused_at = suspicions.latest_call
    for call in slow:
        suspicions.record_success(call)
        suspicions.end(call)

    blamed = [_refuse(suspicions, refused_at) for _ in range(3)]

    assert blamed == [ErrorScope.NOT_KNOWN, ErrorScope.NOT_KNOWN, ErrorScope.ALL]


def test_calls_under_way_are_waited_for():
    """Rejections are inconclusive until the calls in flight have ended, since good answers take longer."""
    suspicions = SuspectedErrors()
    calls = [suspicions.begin() for _ in range(16)]

    for call in calls[:10]:
        assert suspicions.judge(call, None) is ErrorScope.NOT_KNOWN
        suspicions.end(call)
    refused_at = suspicions.latest_call
    assert _refuse(suspicions, refused_at) is ErrorScope.NOT_KNOWN
    for call in calls[10:]:
        suspicions.record_success(call)
        suspicions.end(call)
    _pass(suspicions)

    assert _refuse(suspicions, refused_at) is ErrorScope.ITEM


def test_when_all_calls_under_way_are_refused_the_next_one_decides():
    """If all calls in flight are rejected, one more rejection implicates the account."""
    suspicions = SuspectedErrors()
    calls = [suspicions.begin() for _ in range(16)]

    for call in calls:
        assert suspicions.judge(call, None) is ErrorScope.NOT_KNOWN
        suspicions.end(call)

    assert _refuse(suspicions) is ErrorScope.ALL


def test_a_call_that_hangs_does_not_keep_it_open_for_ever():
    """After fifty rejections in a row, the account is implicated even if a call is still in flight."""
    suspicions = SuspectedErrors()
    suspicions.begin()

    blamed = [_refuse(suspicions) for _ in range(50)]

    assert blamed == [ErrorScope.NOT_KNOWN] * 49 + [ErrorScope.ALL]


def _fault(suspicions, now):
    call = suspicions.begin()
    reported = suspicions.record_server_error(now)
    suspicions.end(call)
    return reported


def test_fifty_faults_in_a_row_are_told():
    """Fifty server errors in a row are reported; a good answer restarts the count."""
    suspicions = SuspectedErrors()

    for begin in (0.0, 1_000.0):
        reported = [_fault(suspicions, begin + 3.0 * number) for number in range(50)]
        assert reported == [None] * 49 + [50]
        _pass(suspicions)


def test_what_a_job_paused_on_is_not_counted_again():
    """After a pause, rejections and server errors are counted anew."""
    suspicions = SuspectedErrors()
    assert [_refuse(suspicions) for _ in range(3)][-1] is ErrorScope.ALL
    assert [_fault(suspicions, 3.0 * number) for number in range(50)][-1] == 50

    assert _refuse(suspicions) is ErrorScope.NOT_KNOWN
    assert _fault(suspicions, 150.0) is None


def test_faults_of_long_ago_are_not_counted():
    """Server errors from an hour ago do not count."""
    suspicions = SuspectedErrors()
    assert {_fault(suspicions, 0.0) for _ in range(49)} == {None}

    assert {_fault(suspicions, 3_600.0 + number) for number in range(49)} == {None}


def test_faults_of_a_minute_are_an_outage():
    """Server errors within 90 seconds count as an outage, whatever their number, and later ones are reported."""
    suspicions = SuspectedErrors()

    assert {_fault(suspicions, 0.2 * number) for number in range(325)} == {None}
    assert _fault(suspicions, 90.0) == 326


def test_many_calls_under_way_at_once_are_no_proof():
    """Server errors are reported only if there are twice as many as calls were in flight at once."""
    suspicions = SuspectedErrors()
    calls = [suspicions.begin() for _ in range(64)]
    for call in calls:
        assert suspicions.record_server_error(0.0) is None
        suspicions.end(call)

    assert [_fault(suspicions, 1.5 * number) for number in range(64)] == [None] * 63 + [128]


def test_only_the_latest_are_remembered():
    """Only the tries of the latest items are kept, and a further try makes an item the latest."""
    recent = RecentTries(capacity=3)
    first, second, third = (recent.get(item) for item in "123")
    again, fourth = recent.get("1"), recent.get("4")

    assert again is first
    assert recent.get("3") is third
    assert recent.get("4") is fourth
    renewed = recent.get("2")
    assert renewed is not second
    recent.forget("2")
    recent.forget("2")
    assert recent.get("2") is not renewed
