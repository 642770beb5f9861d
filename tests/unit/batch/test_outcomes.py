"""Outcomes of what a processor returned or raised, and their verdicts."""

import json
from dataclasses import replace

import pytest

from backstay.batch.backoff import Backoff
from backstay.batch.item import ItemState
from backstay.batch.outcome import (
    AttemptUsage,
    Done,
    Fail,
    Halt,
    Outcome,
    Retry,
    Skip,
    Verdict,
    decide,
    outcome_from_exception,
    outcome_from_result,
)
from backstay.errors import InvalidConversation, OutcomeRefused, ReplacementRefused
from backstay.library.conversation import Conversation
from backstay.library.turn import Turn
from support.data.conversations import claimed, conversation


def _decide(outcome: Outcome, *, tries: int = 0, max_attempts: int = 3, backoff: Backoff | None = None) -> Verdict:
    return decide(
        claimed(tries=tries),
        outcome,
        usage=AttemptUsage(3, 5, "raw"),
        max_attempts=max_attempts,
        backoff=backoff or Backoff(),
    )


@pytest.mark.parametrize("tries", [0, 1, 2, 7])
@pytest.mark.parametrize("max_attempts", [1, 2, 3])
@pytest.mark.parametrize(
    ("outcome", "state", "result", "counts"),
    [
        (Done(conversation()), ItemState.COMPLETED, "completed", False),
        (Done(), ItemState.COMPLETED, "completed", False),
        (Skip("no need"), ItemState.SKIPPED, "skipped", False),
        (Fail("no", code="refusal"), ItemState.FAILED, "failed", True),
        (Halt("no key", code="no_key"), ItemState.PENDING, "doomed", False),
    ],
)
def test_tries_matter_to_a_retry_only(outcome, state, result, counts, tries, max_attempts):
    """Only the verdict on `Retry` depends on the number of tries."""
    verdict = _decide(outcome, tries=tries, max_attempts=max_attempts)

    assert (verdict.state, verdict.result, verdict.uses_up_try, verdict.delay_seconds) == (state, result, counts, 0.0)
    assert verdict.usage == AttemptUsage(3, 5, "raw")
    assert verdict.claimed == claimed(tries=tries)


@pytest.mark.parametrize(
    ("tries", "max_attempts", "state", "result"),
    [
        (0, 1, ItemState.FAILED, "failed"),
        (0, 2, ItemState.PENDING, "retried"),
        (1, 2, ItemState.FAILED, "failed"),
        (0, 3, ItemState.PENDING, "retried"),
        (1, 3, ItemState.PENDING, "retried"),
        (2, 3, ItemState.FAILED, "failed"),
        (9, 3, ItemState.FAILED, "failed"),
    ],
)
def test_retry_is_given_until_the_tries_are_used_up(tries, max_attempts, state, result):
    """A retried item stays pending until its last try of `max_attempts`, which fails it."""
    verdict = _decide(Retry("busy", code="http_503"), tries=tries, max_attempts=max_attempts)

    assert (verdict.state, verdict.result, verdict.uses_up_try) == (state, result, True)
    assert (verdict.code, verdict.message) == ("http_503", "busy")
    assert (verdict.delay_seconds > 0) == (state is ItemState.PENDING)


@pytest.mark.parametrize("tries", [0, 2, 50])
def test_a_retry_that_does_not_count_leaves_the_tries(tries):
    """An item whose tries do not count stays pending and keeps all its tries."""
    verdict = _decide(Retry("busy", after_seconds=1.5, code="rate_limited", counts=False), tries=tries, max_attempts=1)

    assert (verdict.state, verdict.result, verdict.uses_up_try) == (ItemState.PENDING, "retried", False)
    assert (verdict.code, verdict.message, verdict.delay_seconds) == ("rate_limited", "busy", 1.5)


def test_retry_waits_as_long_as_it_was_asked_to():
    """The wait that a server asks for replaces the back-off, up to its cap."""
    backoff = Backoff(first_seconds=1.0, max_retry_after_seconds=10.0)

    assert _decide(Retry(after_seconds=4.5), backoff=backoff).delay_seconds == 4.5
    assert _decide(Retry(after_seconds=0), backoff=backoff).delay_seconds == 0
    assert _decide(Retry(after_seconds=1e9), backoff=backoff).delay_seconds == 10.0


def test_conversation_is_kept_only_by_what_is_done():
    """Only the verdict on `Done` carries a conversation."""
    expected = conversation()

    assert _decide(Done(expected)).conversation is expected
    assert all(_decide(outcome).conversation is None for outcome in (Skip(), Retry(), Fail(), Halt("x")))


def test_halt_gives_the_reason_of_the_pause():
    """The reason of a `Halt` becomes the reason of the pause."""
    verdict = _decide(Halt("the key is wrong", code="http_401"))

    assert (verdict.code, verdict.message) == ("http_401", "the key is wrong")


@pytest.mark.parametrize("outcome", [Skip("é" * 5_000), Retry("é" * 5_000), Fail("é" * 5_000), Halt("é" * 5_000)])
def test_message_is_capped(outcome):
    """A long reason is truncated before it is stored."""
    assert _decide(outcome).message == "é" * 2_000


def test_refused_outcome_fails_its_item():
    """A refused outcome fails its item without the refused conversation, and its tokens still count."""
    decided = _decide(Done(conversation()))

    verdict = Verdict.from_refused(decided, OutcomeRefused("x" * 3_000))

    assert (verdict.state, verdict.result, verdict.conversation) == (ItemState.FAILED, "failed", None)
    assert (verdict.code, verdict.message) == ("outcome_refused", "x" * 2_000)
    assert (verdict.usage.tokens_in, verdict.usage.tokens_out) == (3, 5)


def test_refused_outcome_leaves_out_raw_answer_and_traceback():
    """The verdict on a refused outcome drops raw answer and traceback, which may be what was refused."""
    failed = replace(_decide(Fail("no")), usage=AttemptUsage(3, 5, "raw", "made.py:1 in f"))

    assert Verdict.from_refused(failed, OutcomeRefused("no")).usage == AttemptUsage(3, 5)


def test_refused_replacement_keeps_the_answer():
    """A conversation that may not replace another one is kept as the raw answer, unless the model's is known."""
    made = replace(_decide(Done(conversation("Lighthouses"))), usage=AttemptUsage(3, 5))

    verdict = Verdict.from_refused(made, ReplacementRefused("no"))
    known = Verdict.from_refused(replace(made, usage=AttemptUsage(3, 5, "raw")), ReplacementRefused("no"))

    assert (verdict.code, verdict.conversation) == ("replacement_refused", None)
    assert json.loads(verdict.usage.raw)["conversation_turns"][0]["content"] == "Lighthouses"
    assert known.usage.raw == "raw"


# -- returned values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcome",
    [Done(), Done(conversation()), Skip("s"), Retry("r", after_seconds=1.5, code="c"), Fail("f", "c"), Halt("d", "c")],
)
def test_outcome_is_taken_as_it_is(outcome):
    """An outcome that a processor returns is used unchanged."""
    assert outcome_from_result(outcome) == outcome


def test_conversation_and_none_mean_done():
    """A returned conversation or None means `Done`."""
    expected = conversation()

    assert outcome_from_result(expected) == Done(expected)
    assert outcome_from_result(None) == Done(None)


@pytest.mark.parametrize(
    ("returned", "name"), [("text", "str"), ({"turns": []}, "dict"), (0, "int"), (False, "bool"), (Done, "type")]
)
def test_nonsense_fails_the_item(returned, name):
    """A returned value that is not an outcome fails the item, and the message names its type."""
    outcome = outcome_from_result(returned)

    assert isinstance(outcome, Fail)
    assert outcome.code == "processor_returned"
    assert f"returned {'an' if name == 'int' else 'a'} {name};" in outcome.reason


def test_done_with_nonsense_fails_the_item():
    """`Done` with a value that is not a conversation fails the item."""
    outcome = outcome_from_result(Done("text"))

    assert outcome == Fail("Done holds a str; it must hold a Conversation or None", code="processor_returned")


@pytest.mark.parametrize("wrap", [lambda c: c, Done])
def test_conversation_that_may_not_be_stored_fails_the_item(wrap):
    """An invalid conversation fails its item before the database could refuse the whole group."""
    outcome = outcome_from_result(wrap(Conversation([])))

    assert outcome == Fail("the conversation has no turns", code="invalid_conversation")


@pytest.mark.parametrize("outcome", [Skip, Retry, Fail, Halt])
def test_reason_may_be_an_exception(outcome):
    """An exception as the reason is stored as its text."""
    assert outcome_from_result(outcome(ValueError("too long"))).reason == "too long"


@pytest.mark.parametrize("outcome", [Retry, Fail, Halt])
def test_code_may_be_a_number(outcome):
    """A number as the code, such as an HTTP status, is stored as text."""
    assert outcome_from_result(outcome("no", code=503)).code == "503"


@pytest.mark.parametrize(
    ("raw_code", "expected"),
    [(None, "failed"), ("", "failed"), (" \t", "failed"), ("a\tb\nc", "a b c"), ("x" * 500, "x" * 100)],
)
def test_code_is_one_short_line(raw_code, expected):
    """A code is shortened to one line, and an empty one is replaced by the default."""
    assert outcome_from_result(Fail(None, code=raw_code)) == Fail("", code=expected)


@pytest.mark.parametrize("after", ["5", [1], object()])
def test_wait_that_is_no_number_fails_the_item(after):
    """A `Retry` whose `after_seconds` is not a number fails the item and does not stop the run."""
    outcome = outcome_from_result(Retry("later", after_seconds=after))

    assert isinstance(outcome, Fail)
    assert outcome.code == "processor_returned"


def test_reason_is_made_fit_to_be_stored():
    """Half of a surrogate pair in a reason is escaped, and the retry stays a retry."""
    verdict = _decide(outcome_from_result(Retry("bad \udc80 byte")))

    assert verdict.state is ItemState.PENDING
    assert verdict.message == "bad \\udc80 byte"


# -- exceptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError("slow"), Retry("TimeoutError: slow", code="timeout")),
        (TimeoutError(), Retry("TimeoutError", code="timeout")),
        (ConnectionResetError("cut"), Retry("ConnectionResetError: cut", code="connection")),
        (ConnectionRefusedError(), Retry("ConnectionRefusedError", code="connection")),
        (ValueError("no"), Fail("ValueError: no", code="processor_error.ValueError")),
        (KeyError("x"), Fail("KeyError: 'x'", code="processor_error.KeyError")),
        (SystemExit(3), Fail("SystemExit: 3", code="processor_error.SystemExit")),
        (OSError(5, "I/O error"), Fail("OSError: [Errno 5] I/O error", code="processor_error.OSError")),
        (InvalidConversation("turn 2 is empty"), Fail("turn 2 is empty", code="invalid_conversation")),
    ],
)
def test_exception_is_read(error, outcome):
    """A lost connection or a time-out is retried, and any other exception fails the item."""
    assert outcome_from_exception(error) == outcome


def test_exception_that_cannot_be_printed_fails_the_item():
    """An exception whose `__str__` raises still fails its item."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert outcome_from_exception(Unprintable()) == Fail("Unprintable", code="processor_error.Unprintable")


def test_group_of_turns_that_is_used_up_by_reading_is_refused():
    """A conversation whose turns are a generator is refused, since it would be stored empty after its check."""
    outcome = outcome_from_result(Conversation(turns=(Turn("user", text) for text in "abc")))

    assert isinstance(outcome, Fail)
    assert outcome.code == "invalid_conversation"
