"""Every item reaches an end for any result of its processor, and nothing is lost."""

import asyncio
import gc
import threading
import weakref
from collections import Counter

import httpx
import pytest

from backstay import Conversation, Done, Fail, Item, ItemCounts, JobState, Retry, Selection, Skip, TokenCounts, Turn
from backstay.batch import thread_pool
from backstay.errors import SettingsError
from support.data.conversations import conversation, items
from support.fakes.processors import Writer
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS
from support.stores.sql import ask, is_server


async def _failures(backstay, job_id="batch"):
    return {failure.item_id: failure async for failure in backstay.batches.failed(job_id)}


async def _run(backstay, answer, count=1, **options):
    return await backstay.batches.run("batch", items(count), Writer(answer), **options)


async def test_every_kind_of_outcome_is_counted(backstay):
    """Every kind of outcome is counted, and the counts add up to the planned number."""
    outcomes = {
        "item-1": conversation("a"),
        "item-2": Done(conversation("b")),
        "item-3": None,
        "item-4": Done(),
        "item-5": Skip("no need"),
        "item-6": Fail("no", code="refusal"),
    }

    result = await _run(backstay, lambda item, _: outcomes[item.id], count=6)

    assert result.state is JobState.COMPLETED_WITH_FAILURES
    assert result.counts == ItemCounts(completed=4, failed=1, skipped=1)
    assert await backstay.conversations.count(Selection(job_id="batch")) == 2


async def test_failure_is_stored_with_its_details(backstay):
    """A failure is stored with code, message, raw answer and number of attempts."""

    def answer(item, work):
        work.usage(tokens_in=5, tokens_out=1)
        work.raw("<html>")
        return Fail("refused to answer", code="refusal")

    result = await _run(backstay, answer)

    failure = (await _failures(backstay))["item-1"]
    assert (failure.error_code, failure.error_message, failure.raw) == ("refusal", "refused to answer", "<html>")
    assert (failure.topic, failure.attempts) == ("topic 1", 1)
    assert result.tokens == TokenCounts(5, 1)


async def test_failures_come_in_the_order_of_the_input(backstay):
    """Any number of failures is listed in the order of the input."""

    def answer(item, _):
        return None if int(item.id[5:]) % 7 == 0 else Fail("no", code=item.id[-1])

    await _run(backstay, answer, count=1_300)

    positions = [failure.position async for failure in backstay.batches.failed("batch")]
    assert positions == [n for n in range(1_300) if (n + 1) % 7]


@pytest.mark.parametrize("kind", ["async", "blocking"])
async def test_processor_that_raises_fails_its_item(backstay, kind):
    """A processor that raises fails its item without another try, and the others continue."""

    def answer(item, _=None):
        if item.id == "item-2":
            raise KeyError("model")
        return conversation(item.topic)

    def blocking(item):
        return answer(item)

    result = await backstay.batches.run("batch", items(3), Writer(answer) if kind == "async" else blocking)

    assert result.counts == ItemCounts(completed=2, failed=1)
    failure = (await _failures(backstay))["item-2"]
    assert (failure.error_code, failure.error_message) == ("processor_error.KeyError", "KeyError: 'model'")
    assert failure.attempts == 1


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ("some text", "processor_returned"),
        ({"turns": []}, "processor_returned"),
        (True, "processor_returned"),
        (Done("some text"), "processor_returned"),
        (Retry(after_seconds="soon"), "processor_returned"),
        (Conversation([]), "invalid_conversation"),
        (Conversation([Turn("user", " ")]), "invalid_conversation"),
        (Conversation([Turn("user", "a\x00")]), "invalid_conversation"),
        (Conversation([Turn("user", "\ud800")]), "invalid_conversation"),
        (Conversation([Turn("user", "a")], metadata={"a": {1}}), "invalid_conversation"),
        (Conversation(Turn("user", text) for text in "ab"), "invalid_conversation"),
    ],
    ids=["text", "dict", "bool", "done", "retry", "no_turns", "blank", "nul", "surrogate", "set", "generator"],
)
async def test_nonsense_fails_its_item(backstay, returned, code):
    """A result that is not an outcome fails its item, and nothing of it is stored."""
    result = await _run(backstay, lambda item, _: returned if item.id == "item-1" else None, count=2)

    assert result.counts == ItemCounts(completed=1, failed=1)
    assert (await _failures(backstay))["item-1"].error_code == code
    assert await backstay.conversations.count(Selection(everything=True)) == 0


@pytest.mark.parametrize("raw", ["half \ud800 pair", b"\xff", ["a", 1], {"a": 1}], ids=repr)
async def test_unstorable_reports_do_not_block_an_item(backstay, raw):
    """Reasons and answers that no database can store as they are do not keep an item from ending."""

    def answer(_, work):
        work.raw(raw)
        return Fail(ValueError("bad \udc80 byte"), code=503)

    result = await _run(backstay, answer, count=2)

    assert result.counts == ItemCounts(failed=2)
    failure = (await _failures(backstay))["item-1"]
    assert (failure.error_code, failure.error_message) == ("503", "bad \\udc80 byte")


async def test_same_conversation_id_twice_fails_the_second(backstay):
    """A repeated conversation id fails the second item, and the others of its commit are stored."""
    shared = {"item-3": "same", "item-7": "same"}

    result = await _run(
        backstay, lambda item, _: conversation(item.topic, id=shared.get(item.id)), count=10, concurrency=10
    )

    assert result.counts == ItemCounts(completed=9, failed=1)
    ((item_id, failure),) = (await _failures(backstay)).items()
    assert item_id in shared
    assert failure.error_code == "outcome_refused"
    assert await backstay.conversations.count(Selection(everything=True)) == 9


# -- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_attempts", [1, 2, 4])
async def test_transient_failure_is_tried_as_often_as_allowed(backstay, max_attempts):
    """A transient failure is tried up to the maximum and then fails the item."""
    attempts = []

    def answer(item, work):
        attempts.append(work.attempt)
        return Retry("busy", after_seconds=0, code="http_503")

    result = await _run(backstay, answer, max_attempts=max_attempts)

    assert attempts == list(range(1, max_attempts + 1))
    assert result.counts == ItemCounts(failed=1)
    failure = (await _failures(backstay))["item-1"]
    assert (failure.error_code, failure.attempts) == ("http_503", max_attempts)


async def test_item_that_works_later_is_completed(backstay):
    """An item that succeeds on a later try is completed, and only the tokens of its failed tries remain."""
    tries = Counter()

    def answer(item, work):
        tries[item.id] += 1
        work.usage(tokens_in=1)
        return conversation(item.topic) if tries[item.id] == 3 else Retry("busy", after_seconds=0)

    result = await _run(backstay, answer, count=20)

    assert result.state is JobState.COMPLETED
    assert result.tokens == TokenCounts(60, 0)
    assert set(tries.values()) == {3}


async def test_requested_wait_is_respected(backstay):
    """An item waits as long as its processor asks, without blocking others."""
    times = {}

    def answer(item, work):
        times.setdefault(item.id, []).append(asyncio.get_running_loop().time())
        return Retry("busy", after_seconds=0.4) if item.id == "item-1" and work.attempt == 1 else None

    result = await _run(backstay, answer, count=5, concurrency=1)

    assert result.completed == 5
    first, second = times["item-1"]
    assert 0.39 <= second - first <= 10
    assert max(seen[0] for seen in times.values()) < second


async def test_lost_connection_is_tried_again(backstay):
    """A lost connection is tried again after a back-off."""
    seen = []

    def answer(item, work):
        seen.append(asyncio.get_running_loop().time())
        if work.attempt == 1:
            raise ConnectionResetError("cut")
        return conversation(item.topic)

    result = await _run(backstay, answer)

    assert result.completed == 1
    assert 0.49 <= seen[1] - seen[0] <= 10


class _Busy(Exception):
    """An error class of the processor's own client."""


@pytest.mark.parametrize("kind", ["async", "blocking"])
async def test_named_errors_are_tried_again(backstay, kind):
    """An exception in `retry_on` costs a try and not the item; without it, the item fails at once."""
    tries = Counter()

    def answer(item, _):
        tries[item.id] += 1
        if tries[item.id] == 1:
            raise _Busy("later")
        return conversation(item.topic)

    process = Writer(answer) if kind == "async" else answer
    result = await backstay.batches.run("batch", items(1), process, retry_on=(_Busy,))
    tries.clear()
    control = await backstay.batches.run("control", items(1), process)

    assert result.counts == ItemCounts(completed=1)
    assert control.counts == ItemCounts(failed=1)


async def test_named_errors_hold_for_a_resume(backstay):
    """A resume with a function sets its own `retry_on`."""
    seen = []

    async def process(item):
        seen.append(item.id)
        if len(seen) < 3:
            raise _Busy("later")

    await backstay.batches.run("batch", items(1), process, retry_on=(_Busy,), max_attempts=3, limit=1)
    await backstay.batches.resume("batch", process, retry_on=(_Busy,))

    assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(completed=1)


@pytest.mark.parametrize("retry_on", [_Busy, [_Busy], (_Busy("x"),), (KeyboardInterrupt,), ("_Busy",), None])
async def test_what_is_no_tuple_of_exceptions_is_refused(backstay, retry_on):
    """An invalid `retry_on` is refused before the first call."""
    with pytest.raises(SettingsError, match="retry_on must be a tuple of exception classes"):
        await _run(backstay, lambda *_: None, retry_on=retry_on)


async def test_named_errors_go_with_a_function_only(backstay):
    """`retry_on` is refused for a named processor, which programs without these classes may resume."""
    with pytest.raises(SettingsError, match="retry_on works only with a function"):
        await backstay.batches.run("batch", items(1), "scripted", retry_on=(_Busy,))
    await backstay.batches.create("made", items(1), "scripted")
    with pytest.raises(SettingsError, match="retry_on works only with a function"):
        await backstay.batches.resume("made", retry_on=(_Busy,))


async def test_overload_of_a_server_is_waited_out(backstay):
    """A 503 of a real server, raised by httpx, is tried again after the time that the server names."""
    requested_at = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        requested_at.append(asyncio.get_running_loop().time())
        head = "503 Busy\r\nRetry-After: 0.05" if len(requested_at) == 1 else "200 OK"
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def process(item):
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(address)).raise_for_status()
        return conversation(item.topic)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        address = f"http://{host}:{port}/"
        result = await backstay.batches.run("batch", items(1), process)

    assert result.counts == ItemCounts(completed=1)
    assert len(requested_at) == 2


async def test_traceback_is_kept_with_the_failure_of_a_function(backstay):
    """The failure of a function that raised has its traceback; that of a returned `Fail` has none."""

    def answer(item, _):
        if item.id == "item-1":
            raise KeyError("model")
        return Fail("no")

    await _run(backstay, answer, count=2)

    failures = await _failures(backstay)
    assert failures["item-1"].traceback.splitlines()[-1].endswith("<locals>.answer")
    assert "model" not in failures["item-1"].traceback
    assert "traceback" not in repr(failures["item-1"])
    assert failures["item-2"].traceback is None


# -- deadlines -------------------------------------------------------------------------------------


async def test_item_over_its_deadline_fails_when_its_tries_are_used_up(backstay):
    """An item that times out on every try fails without delaying others, and its late result is dropped."""
    cancelled = []

    async def process(item):
        if item.id == "item-2":
            try:
                await asyncio.Event().wait()  # hangs
            except asyncio.CancelledError:
                cancelled.append(item.id)
        return conversation(item.topic)

    result = await backstay.batches.run("batch", items(4), process, timeout_seconds=0.5, max_attempts=1)

    assert result.counts == ItemCounts(completed=3, failed=1)
    failure = (await _failures(backstay))["item-2"]
    assert (failure.error_code, failure.error_message) == ("timeout", "no answer within 0.5 s")
    assert cancelled == ["item-2"]


async def test_blocking_call_over_its_deadline_frees_its_slot(backstay, monkeypatch):
    """A blocking call that times out frees its slot, and its late result is dropped."""
    monkeypatch.setattr(thread_pool, "_IDLE_SECONDS", 0.0)
    release, threads = threading.Event(), []

    def process(item):
        if item.id == "item-1":
            threads.append(threading.current_thread())
            release.wait(PATIENCE_SECONDS)
        return conversation(item.topic)

    result = await backstay.batches.run("batch", items(5), process, timeout_seconds=1.5, max_attempts=1, concurrency=1)
    release.set()
    await until(lambda: not threads[0].is_alive())  # it has handed over its late result

    assert result.counts == ItemCounts(completed=4, failed=1)
    assert await backstay.conversations.count(Selection(job_id="batch")) == 4


async def test_processor_that_cancels_itself_is_tried_again(backstay):
    """A processor that cancels itself is tried again and does not stop the run."""

    async def process(item, work):
        if work.attempt == 1:
            raise asyncio.CancelledError
        return conversation(item.topic)

    result = await backstay.batches.run("batch", items(1), process)

    assert result.completed == 1


# -- callables and items ---------------------------------------------------------------------------


async def test_callable_object_and_lambda(backstay):
    """A callable object and a lambda around an async function work as processors."""
    write = Writer()

    first = await backstay.batches.run("object", items(3), write)
    second = await backstay.batches.run("lambda", items(3), lambda item: Writer()(item, None))

    assert (first.completed, second.completed) == (3, 3)
    assert await backstay.conversations.count(Selection(everything=True)) == 6


async def test_item_cannot_be_changed_by_its_processor(backstay):
    """An item is frozen, and changes to its parameters do not last beyond the attempt."""
    seen = []

    async def process(item: Item, work):
        seen.append(dict(item.parameters))
        item.parameters["depth"] = 99
        return Retry(after_seconds=0) if work.attempt == 1 else None

    await backstay.batches.run("batch", [{"topic": "tea", "depth": 3}], process)

    assert seen == [{"depth": 3}, {"depth": 3}]


_RAISING = """
    CREATE TRIGGER picky BEFORE INSERT ON turns WHEN NEW.content LIKE '%secret%'
    BEGIN SELECT RAISE({how}, 'refused: a secret'); END
"""
_RAISING_ON_A_SERVER = """
    CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.content LIKE '%secret%' THEN RAISE EXCEPTION 'refused: %', NEW.content {how}; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER picky BEFORE INSERT ON turns FOR EACH ROW EXECUTE FUNCTION picky()
"""


@pytest.mark.own_tables("it creates a trigger on a built-in table")
@pytest.mark.parametrize(
    "how, on_a_server",
    [
        ("ABORT", ""),
        ("ROLLBACK", "USING ERRCODE = 'ME001'"),
        ("FAIL", "USING ERRCODE = 'insufficient_privilege'"),
    ],
    ids=["plain", "a code of its own", "a code of the server's"],
)
async def test_a_users_trigger_that_raises_fails_its_item(backstay, path, how, on_a_server):
    """A user's trigger that raises fails its item, and its message, which may quote a conversation, is not shown."""
    raising = _RAISING_ON_A_SERVER.format(how=on_a_server) if is_server(path) else _RAISING.format(how=how)
    await asyncio.to_thread(ask, path, raising)

    result = await _run(
        backstay,
        lambda item, _: conversation("a secret" if item.id == "item-2" else item.topic),
        count=5,
        concurrency=1,
    )

    assert (result.state, result.counts) == (JobState.COMPLETED_WITH_FAILURES, ItemCounts(completed=4, failed=1))
    failure = (await _failures(backstay))["item-2"]
    assert "raised an error" in failure.error_message
    assert "secret" not in str(failure)


async def test_an_ended_call_holds_no_answer(backstay):
    """An ended call does not keep its answer in memory."""

    class Answer:
        """An answer that refers to its attempt."""

        def __init__(self, work):
            self.work = work

    answers = []

    async def process(item, work):
        answer = Answer(work)
        answers.append(weakref.ref(answer))
        work.on_timeout(lambda: Retry(str(answer)))
        return conversation(item.topic)

    gc.disable()
    try:
        await backstay.batches.run("batch", items(3), process)
        await until(lambda: not any(answer() for answer in answers))
    finally:
        gc.enable()
