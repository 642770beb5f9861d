"""Whose matter a refusal is that could be an item's or everybody's."""

import pytest

from backstay.generate.recent_values import RecentValues
from backstay.generate.suspected_errors import ErrorScope, SuspectedErrors


def _refuse(suspicions, suspected_at=None, *, item=None):
    """Ask for an item that was refused at that call before, be refused, and return who is blamed."""
    call = suspicions.begin()
    blamed = suspicions.judge(call if item is None else item, suspected_at)
    suspicions.end(call)
    return blamed


def _pass(suspicions):
    call = suspicions.begin()
    suspicions.record_success(call)
    suspicions.end(call)


def test_an_item_that_is_refused_again_after_others_passed_is_to_blame():
    """One flagged prompt is that item's matter, once others have passed between its two refusals."""
    suspicions = SuspectedErrors()

    assert _refuse(suspicions) is ErrorScope.NOT_KNOWN
    refused_at = suspicions.latest_call
    _pass(suspicions)
    assert _refuse(suspicions, refused_at) is ErrorScope.ITEM


def test_an_item_is_not_blamed_for_what_passed_before_it():
    """A good answer long ago says nothing about an account that refuses everything now."""
    suspicions = SuspectedErrors()
    for _ in range(100):
        _pass(suspicions)

    blamed = [_refuse(suspicions) for _ in range(3)]

    assert blamed == [ErrorScope.NOT_KNOWN, ErrorScope.NOT_KNOWN, ErrorScope.ALL]


def test_the_only_item_is_asked_three_times():
    """Where there is nobody else to ask, the account is to blame, and the item stays pending."""
    suspicions = SuspectedErrors()

    blamed = [_refuse(suspicions, item="only")]
    blamed += [_refuse(suspicions, suspicions.latest_call, item="only") for _ in range(2)]

    assert blamed == [ErrorScope.NOT_KNOWN, ErrorScope.NOT_KNOWN, ErrorScope.ALL]


@pytest.mark.parametrize(("others", "blame"), [(0, ErrorScope.ITEM), (1, ErrorScope.ALL)])
def test_the_last_item_is_to_blame_when_only_it_was_refused(others, blame):
    """Nobody is left to ask, and calls that were under way were taken; with another refused one, it is not known."""
    suspicions = SuspectedErrors()
    slow = [suspicions.begin() for _ in range(8)]
    refused = [_refuse(suspicions, item="last"), *(_refuse(suspicions, item="other") for _ in range(others))]
    for call in slow:
        suspicions.record_success(call)
        suspicions.end(call)

    refused += [_refuse(suspicions, suspicions.latest_call, item="last") for _ in range(3)]

    assert refused == [ErrorScope.NOT_KNOWN] * (3 + others) + [blame]


def test_what_was_under_way_at_a_refusal_does_not_speak_against_the_item():
    """An account is closed while slow good answers are on their way: they come in, and no item is blamed for it."""
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
    """Refusals are faster than good answers: several among the first calls prove nothing until the others are back."""
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
    """A wrong account costs the calls that were under way, and one more."""
    suspicions = SuspectedErrors()
    calls = [suspicions.begin() for _ in range(16)]

    for call in calls:
        assert suspicions.judge(call, None) is ErrorScope.NOT_KNOWN
        suspicions.end(call)

    assert _refuse(suspicions) is ErrorScope.ALL


def test_a_call_that_hangs_does_not_keep_it_open_for_ever():
    """After fifty refusals in a row nobody waits for the one answer that is still to come."""
    suspicions = SuspectedErrors()
    suspicions.begin()

    blamed = [_refuse(suspicions) for _ in range(50)]

    assert blamed == [ErrorScope.NOT_KNOWN] * 49 + [ErrorScope.ALL]


def _fault(suspicions, now):
    call = suspicions.begin()
    told = suspicions.record_server_error(now)
    suspicions.end(call)
    return told


def test_fifty_faults_in_a_row_are_told():
    """A server that always says it has a fault is found out, whatever it answered before; a good answer counts anew."""
    suspicions = SuspectedErrors()

    for begin in (0.0, 1_000.0):
        told = [_fault(suspicions, begin + 3.0 * number) for number in range(50)]
        assert told == [None] * 49 + [50]
        _pass(suspicions)


def test_what_a_job_paused_on_is_not_counted_again():
    """After a pause, one refusal proves no more than the first did, and one fault no more than the first."""
    suspicions = SuspectedErrors()
    assert [_refuse(suspicions) for _ in range(3)][-1] is ErrorScope.ALL
    assert [_fault(suspicions, 3.0 * number) for number in range(50)][-1] == 50

    assert _refuse(suspicions) is ErrorScope.NOT_KNOWN
    assert _fault(suspicions, 150.0) is None


def test_faults_of_long_ago_are_not_counted():
    """Those before a job was stopped say nothing about a server that is asked again an hour later."""
    suspicions = SuspectedErrors()
    assert {_fault(suspicions, 0.0) for _ in range(49)} == {None}

    assert {_fault(suspicions, 3_600.0 + number) for number in range(49)} == {None}


def test_faults_of_a_minute_are_an_outage():
    """However many they are: only those that go on for longer are told."""
    suspicions = SuspectedErrors()

    assert {_fault(suspicions, 0.2 * number) for number in range(325)} == {None}
    assert _fault(suspicions, 90.0) == 326


def test_many_calls_under_way_at_once_are_no_proof():
    """In the first moment of an outage all calls under way draw the same fault: twice as many have to."""
    suspicions = SuspectedErrors()
    calls = [suspicions.begin() for _ in range(64)]
    for call in calls:
        assert suspicions.record_server_error(0.0) is None
        suspicions.end(call)

    assert [_fault(suspicions, 1.5 * number) for number in range(64)] == [None] * 63 + [128]


def test_only_the_latest_are_remembered():
    """Memory stays flat over any number of items; what was put again is the latest."""
    recent = RecentValues(capacity=3)
    for number in range(1, 4):
        recent.put(number, str(number))
    recent.put(1, "again")
    recent.put(4, "4")

    assert [recent.get(number) for number in range(1, 5)] == ["again", None, "3", "4"]
    recent.forget(1)
    recent.forget(1)
    assert len(recent) == 2
