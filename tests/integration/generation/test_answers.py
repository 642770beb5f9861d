"""A provider's answers over HTTP: each becomes a whole, valid conversation, or a failure with its cause."""

import json
from collections import Counter

import pytest

from backstay import Backstay, ItemCounts, JobState, Recipe, Selection, Turn
from backstay.batch.breaker import CircuitBreaker
from backstay.generate import answer_parser
from backstay.generate.limiter import RateLimiter
from support.fakes.provider import KEY, CutOff, Drip, Hang, Reset, Said, Sent, Status, Streamed, whole_answer
from support.faults.batch_invariants import violations

pytestmark = pytest.mark.promise("B3", "B6")

_GOOD = json.dumps({"user_1": "Hello.", "assistant_1": "Good day."})


async def test_what_was_answered_is_stored(provider, generate, stored, path):
    """B3: each conversation is the provider's answer to its item, word for word; tokens are summed."""
    result = await generate(40, concurrency=8)

    assert result.counts == ItemCounts(completed=40)
    assert sorted(stored()) == sorted(provider.answered)
    assert (result.tokens.tokens_in, result.tokens.tokens_out) == (4_000, 2_000)
    assert len(provider.calls) == 40
    assert provider.most_at_once <= 8
    assert violations(path, planned=40) == []


async def test_structure_is_asked_for(provider, generate, recipe):
    """OpenAI's API is asked for a JSON schema and Anthropic's for a tool call, and the key is sent in its header."""
    await generate(1)

    call = provider.calls[0]
    if recipe.model.startswith("anthropic"):
        assert call.body["tool_choice"]["type"] == "tool"
        assert "x-api-key" in {name.lower() for name in call.headers}
    else:
        assert call.body["response_format"]["type"] == "json_schema"
        assert call.headers["Authorization"].startswith("Bearer ")


_OF_NO_USE = {
    "length": (Said(_GOOD, finish="length"), Said(_GOOD, finish="max_tokens"), "length", 1),
    "filter": (Said(_GOOD, finish="content_filter"), Said(_GOOD, finish="refusal"), None, 1),
    "refusal": (Said(refusal="I cannot."), Said(refusal="I cannot."), "refusal", 1),
    "unknown end": (Said(_GOOD, finish="paused"), Said(_GOOD, finish="paused"), "incomplete_answer", 2),
    "prose": (Said("I would rather talk."), Said("I would rather talk."), "unreadable_answer", 2),
    "half": (Said(_GOOD[:-3]), Said(_GOOD[:-3]), "unreadable_answer", 2),
    "empty": (Said(""), Said(""), "empty_answer", 2),
    "roles": (Said('[{"role":"assistant","content":"a"},{"role":"user","content":"b"}]'),) * 2 + ("wrong_shape", 2),
    "too many": (Said('{"user_1":"a","assistant_1":"b","user_2":"c"}'),) * 2 + ("wrong_shape", 2),
    "an empty turn": (Said('{"user_1":"a","assistant_1":" "}'),) * 2 + ("wrong_shape", 2),
    "surrogate": (Said('{"user_1":"a","assistant_1":"\\ud800"}'),) * 2 + ("wrong_shape", 2),
    "no choices": (Sent(b"{}"), Sent(b"{}"), "unreadable_answer", 2),
    "garbage": (Sent(b'{"choices": [}'), Sent(b"\x00\xff"), "broken_json", 2),
    "nothing": (Sent(b""), Sent(b""), "broken_json", 2),
    "not UTF-8": (Sent(b'{"choices": "\xff"}'), Sent(b'{"content": "\xff"}'), "broken_json", 2),
    "500": (Status(500), Status(500), "server_error", 3),
    "400": (Status(400), Status(400), "bad_request", 1),
    "422": (Status(422), Status(422), "bad_request", 1),
    "too long": (Status(400, {"error": {"code": "context_length_exceeded"}}),) * 2 + ("context_too_long", 1),
    "an error with status 200": (Sent(b'{"error": {"code": 422, "message": "x"}}'),) * 2 + ("bad_request", 1),
    # On a reused connection, a lost connection may mean that it was stale, so each try makes two calls.
    "reset": (Reset(), Reset(), "connection", 4),
    "cut": (CutOff(50), CutOff(50), "connection", 2),
}


@pytest.mark.parametrize("name", _OF_NO_USE)
async def test_an_answer_of_no_use_is_a_failure_with_its_cause(
    name, provider, generate, stored, attempts, recipe, path, monkeypatch
):
    """An unusable answer fails its own item, after retries where they may help, and is stored raw with its tokens."""
    monkeypatch.setattr("backstay.generate.model_call._ALONE_SECONDS", 0.0)  # no other item is left
    of_openai, of_anthropic, code, tries = _OF_NO_USE[name]
    bad = of_anthropic if recipe.model.startswith("anthropic") else of_openai
    provider.behaviour = lambda call: bad if call.topic == "bad" else Said()

    result = await generate(["good", "bad", "fine"], max_attempts=2, concurrency=1)

    assert result.counts == ItemCounts(completed=2, failed=1)
    assert provider.calls_about("bad") == tries
    assert sorted(topic for topic, _ in stored()) == ["fine", "good"]
    failures = [attempt for attempt in attempts() if attempt[0] == "failed"]
    assert len(failures) == 1
    assert code is None or failures[0][1] == code
    if isinstance(bad, Said):
        assert failures[0][2] is not None
        assert failures[0][3:] == (100, 50)
        assert (result.tokens.tokens_in, result.tokens.tokens_out) == (100 * (2 + tries), 50 * (2 + tries))
    assert violations(path, planned=3, may_fail=frozenset({"bad"})) == []


async def test_json_in_prose_is_found(provider, generate, stored):
    """A JSON object surrounded by prose is parsed as the answer."""
    provider.behaviour = lambda _: Said(f"Of course! Here:\n```json\n{_GOOD}\n```\nMore?")

    result = await generate(["sea"])

    assert result.completed == 1
    assert stored() == [("sea", ["Hello.", "Good day."])]


_THOUGHT = "Say {hello}? “Yes.”\nThen good day."
_THINKING = json.dumps({"user_1": "Hello.", "assistant_1": "<think>Be polite.</think>\nGood day."})


def _thinking_answer(call, field):
    """Return an answer with reasoning about the whole, in a field of its own, and before a turn, streamed if asked."""
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in (_THOUGHT, _THINKING)]
    if call.is_anthropic:
        thinking = {"type": "thinking", "thinking": "", "signature": ""}
        starts = [thinking, {"type": "text", "text": ""}]
        names = [("thinking_delta", "thinking"), ("text_delta", "text")]
        deltas = [
            (index, {"type": kind, name: text}) for index, (kind, name) in enumerate(names) for text in halves[index]
        ]
        deltas.insert(2, (0, {"type": "signature_delta", "signature": "c2ln"}))
        whole = [{**thinking, "thinking": _THOUGHT, "signature": "c2ln"}, {"type": "text", "text": _THINKING}]
        body = {"type": "message", "content": whole, "stop_reason": "end_turn"}
        events = [
            {"type": "message_start", "message": {"type": "message", "content": []}},
            *({"type": "content_block_start", "index": at, "content_block": start} for at, start in enumerate(starts)),
            *({"type": "content_block_delta", "index": at, "delta": delta} for at, delta in deltas),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ]
    else:
        message = {"role": "assistant", "content": _THINKING, field: _THOUGHT}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        deltas = [{name: text} for name, texts in zip((field, "content"), halves, strict=True) for text in texts]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        events = [{"choices": [choice]} for choice in choices]
    if not call.body.get("stream"):
        return Sent(json.dumps(body).encode())
    return Streamed([f"data: {json.dumps(event)}\n\n".encode() for event in events])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_where_it_belongs(field, stream, provider, recipe, path):
    """Reasoning about an answer is kept with the conversation, and reasoning before a turn's text with the turn."""
    provider.behaviour = lambda call: _thinking_answer(call, field)
    asked = Recipe(model=recipe.model, base_url=recipe.base_url, turns=2, stream=stream)
    is_anthropic = recipe.model.startswith("anthropic")

    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"topic": "sea"}], asked)
        (conversation,) = [stored async for stored in backstay.conversations.export(Selection(everything=True))]

    assert conversation.turns == [Turn("user", "Hello."), Turn("assistant", "Good day.", reasoning="Be polite.")]
    assert conversation.metadata == {
        "writer": recipe.model,
        "generation": {"model": recipe.model, "recipe_revision": 1, "attempt": 1},
        "reasoning": _THOUGHT,
        **({"reasoning_signature": "c2ln"} if is_anthropic else {}),
    }
    assert provider.calls[0].body.get("stream", False) is stream


async def test_the_model_and_its_settings_are_stored(provider, recipe, path):
    """The model and the settings that shape an answer are stored with it; prompts and other parameters are not."""
    parameters = {"top_p": 0.9, "seed": 7, "user": "SECRET", "reasoning_effort": "low"}
    changes = {"system": "SECRET", "prompt": "SECRET {topic}", "temperature": 0.5, "max_tokens": 900}
    asked = recipe.model_copy(update={**changes, "parameters": parameters})

    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"topic": "sea", "level": 3}], asked)
        (conversation,) = [stored async for stored in backstay.conversations.export(Selection(everything=True))]
        job = await backstay.batches.checkpoint("job")

    assert conversation.metadata["generation"] == {
        "model": recipe.model,
        "recipe_revision": 1,
        "max_tokens": 900,
        "temperature": 0.5,
        "reasoning_effort": "low",
        "seed": 7,
        "top_p": 0.9,
        "attempt": 1,
        "tokens_in": job.tokens.tokens_in,
        "tokens_out": job.tokens.tokens_out,
    }
    assert job.tokens.tokens_out > 0
    assert conversation.metadata["parameters"] == {"level": 3}
    assert "SECRET" not in json.dumps(dict(conversation.metadata))


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unannounced"])
async def test_an_answer_cut_at_every_byte_is_never_stored(announced, provider, recipe, path, stored, monkeypatch):
    """An answer truncated at any byte is never stored, with or without an announced length."""
    _go_on_whatever_happens(monkeypatch)
    cuts: Counter[str] = Counter()

    def cut(call):
        if call.topic == "whole":
            return Said()
        cuts[call.topic] += 1
        return CutOff(int(call.topic), announced=announced)

    await _sample(provider, recipe, path)
    size = len(whole_answer(provider.calls[0]))
    provider.behaviour = cut
    async with Backstay.open(path) as backstay:
        items = [{"id": name, "topic": name} for name in ["whole", *(f"{n:05}" for n in range(size))]]
        result = await backstay.batches.run("cut", items, recipe, concurrency=50, max_attempts=1)

    assert result.counts == ItemCounts(completed=1, failed=size)
    assert [topic for topic, _ in stored()] == ["00000", "whole"]
    assert set(cuts.values()) == {1}


def _go_on_whatever_happens(monkeypatch):
    """Prevent the job from pausing and slowing down when all calls end in the same error."""
    monkeypatch.setattr(CircuitBreaker, "record", lambda *_: None)
    monkeypatch.setattr(CircuitBreaker, "allowance", None)
    monkeypatch.setattr(RateLimiter, "accepts_calls", True)
    monkeypatch.setattr(RateLimiter, "record_trouble", lambda *_, **__: 0.0)


async def _sample(provider, recipe, path):
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("sample", [{"id": "s", "topic": "00000"}], recipe)


async def test_control_without_its_end_an_unfinished_answer_is_stored(provider, generate, monkeypatch, stored):
    """If the finish reason is not checked, an answer that was truncated at its maximum length is stored."""
    monkeypatch.setattr(answer_parser, "_check_end", lambda _: None)
    provider.behaviour = lambda _: Said(_GOOD, finish="length")

    await generate(["sea"])

    assert stored() == [("sea", ["Hello.", "Good day."])]


async def test_an_answer_after_the_deadline_is_dropped(provider, generate, stored, attempts):
    """A call that exceeds its deadline is retried, and its late answer is dropped."""
    provider.behaviour = lambda call: Said(seconds=30.0) if call.number == 1 else Said()

    result = await generate(["sea"], timeout_seconds=1.0)

    assert result.completed == 1
    assert [attempt[:2] for attempt in attempts()] in ([], [("retried", "timeout"), ("completed", None)])
    assert stored() == [(topic, turns) for topic, turns in provider.answered if "call 2" in turns[0]]


async def test_a_provider_that_hangs_is_not_waited_for_for_ever(provider, generate, path, monkeypatch):
    """B6: each call to a hanging provider ends at its deadline, and the job pauses when its patience ends."""
    monkeypatch.setenv("BACKSTAY_PATIENCE_SECONDS", "1")
    provider.behaviour = lambda _: Hang()

    result = await generate(["sea", "sand"], timeout_seconds=0.3, max_attempts=2)

    assert (result.state, result.pause.code) == (JobState.PAUSED, "provider_unavailable")
    assert result.counts == ItemCounts(pending=2)
    assert violations(path, planned=2) == []


@pytest.mark.parametrize(
    ("seconds", "timeout", "counts"), [(0.0, 30.0, ItemCounts(completed=1)), (0.2, 1.0, ItemCounts(pending=1))]
)
async def test_an_answer_that_drips_in_has_until_the_deadline(
    seconds, timeout, counts, provider, generate, stored, attempts, monkeypatch
):
    """An answer that arrives slowly does not extend the deadline of its try."""
    monkeypatch.setenv("BACKSTAY_PATIENCE_SECONDS", "1")
    provider.behaviour = lambda _: Drip(seconds)

    result = await generate(["sea"], timeout_seconds=timeout, max_attempts=1)

    assert result.counts == counts
    assert len(stored()) == counts.completed
    assert {code for _, code, *_ in attempts()} == ({"timeout", "provider_unavailable"} if counts.pending else set())


async def test_an_answer_without_end_is_given_up(provider, generate, stored, attempts, monkeypatch):
    """An endless answer is aborted at the maximum size, so that it does not fill the memory."""
    monkeypatch.setattr("backstay.generate.http_client._MAX_BODY_BYTES", 10_000)
    provider.behaviour = lambda call: Said(text="x" * 100_000) if call.topic == "vast" else Said()

    result = await generate(["sea", "vast"], max_attempts=1)

    assert result.counts == ItemCounts(completed=1, failed=1)
    assert [topic for topic, _ in stored()] == ["sea"]
    assert "broken_answer" in [code for _, code, *_ in attempts()]


async def test_a_server_without_structured_output_is_asked_plainly(provider, recipe, path, stored):
    """After a server rejects the schema, later requests use a simpler structure; calls in flight cost one more."""

    def plain(call):
        structure = call.body.get("response_format", {}).get("type") or ("tool" if "tools" in call.body else None)
        if structure is None:
            return Said()
        name = "tool_choice" if structure == "tool" else "response_format"
        return Status(400, {"error": {"message": f"{name}: unsupported", "type": "invalid_request_error"}})

    provider.behaviour = plain
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", [{"topic": f"t{n}"} for n in range(30)], recipe, concurrency=3)

    assert result.counts == ItemCounts(completed=30)
    assert len(provider.calls) <= 30 + 2 * 3
    assert len(stored()) == 30


@pytest.mark.parametrize("topic", ["English grammar", "function calling", "json mode"])
async def test_a_prompt_that_is_quoted_does_not_change_how_others_are_asked(topic, provider, path, monkeypatch):
    """An error that quotes an item's prompt changes the structure for that item alone; the item fails."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    refusal = Status(400, {"error": {"message": f"We could not process: {topic}", "type": "invalid_request_error"}})
    provider.behaviour = lambda call: refusal if call.topic == topic else Said()
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)
    async with Backstay.open(path) as backstay:
        items = [{"topic": f"t{n}"} for n in range(30)]
        items[3]["topic"] = topic
        result = await backstay.batches.run("job", items, recipe, concurrency=4)

    assert result.counts == ItemCounts(completed=29, failed=1)
    others = {call.body["response_format"]["type"] for call in provider.calls if call.topic != topic}
    assert (others, len(provider.calls)) == ({"json_schema"}, 29 + 3)


async def test_an_endpoint_that_refuses_one_thing_after_another_is_learnt(provider, path, monkeypatch):
    """Items in flight while the request form changes are requeued without costing a try, and none fails."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def refuse_one(call):
        if call.body.get("response_format", {}).get("type") == "json_schema":
            return _unsupported("response_format")
        return next((_unsupported(name) for name in ("max_tokens", "temperature") if name in call.body), Said())

    provider.behaviour = refuse_one
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2, max_tokens=99, temperature=0.5)
    async with Backstay.open(path) as backstay:
        items = [{"topic": f"t{n}"} for n in range(20)]
        result = await backstay.batches.run("job", items, recipe, concurrency=8, max_attempts=1)

    assert result.counts == ItemCounts(completed=20)
    assert len(provider.calls) <= 20 + 3 * 8


async def test_an_endpoint_that_refuses_something_new_each_time_is_given_up(provider, path, monkeypatch):
    """An item is requeued only a few times, even if the endpoint rejects something new each time."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider.behaviour = lambda call: _unsupported(f"parameter_{call.number}")
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", [{"topic": "t"}], recipe)

    assert result.counts == ItemCounts(failed=1)
    assert len(provider.calls) <= 12


def _unsupported(name):
    return Status(400, {"error": {"message": "no", "param": name, "code": "unsupported_parameter"}})


async def test_two_jobs_of_one_library_share_an_account(provider, recipe, path):
    """Two jobs of one library share the rate limit of their account."""
    async with Backstay.open(path) as backstay:
        for name in ("one", "two"):
            await backstay.batches.run(name, [{"topic": name}], recipe)
        assert len(backstay._accounts._accounts) == 1

    assert len(provider.calls) == 2
    assert len(backstay._accounts._accounts) == 0


async def test_the_frozen_recipe_is_what_resumes(provider, recipe, path, generate):
    """A job resumes with the recipe frozen into it; a changed recipe is rejected, field by field."""
    from backstay.errors import JobDiffers

    await generate(4, limit=2, concurrency=1)
    changed = Recipe(**{**recipe.frozen(), "turns": 6, "temperature": 0.1})
    with pytest.raises(JobDiffers, match=r"turns: 2, now 6; temperature: none, now 0\.1"):
        await generate(4, recipe=changed)
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.resume("job")
        job = await backstay.batches.checkpoint("job")

    assert result.state is JobState.COMPLETED
    assert job.recipe == recipe.frozen()
    assert all(len(call.keys) == 2 for call in provider.calls)
