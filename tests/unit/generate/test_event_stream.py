"""Server-sent events: parsing from arbitrary pieces, and collection into an answer."""

import json

import pytest

from backstay.generate.event_stream import EventParser, StreamReader, first_object, is_event_stream
from backstay.generate.stream_collector import IncompleteStream

_USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def _events(*pieces: bytes) -> list[tuple[str, str]]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.name, event.data) for event in (*events, *parser.end())]


def _sse(*data: object, has_end: bool = True) -> bytes:
    lines = [f"data: {json.dumps(each)}\n\n" for each in data]
    return "".join([*lines, "data: [DONE]\n\n" if has_end else ""]).encode()


def _chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _collected(stream: bytes) -> dict:
    reader = StreamReader()
    reader.feed(stream)
    return json.loads(reader.body())


# -- events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_found_wherever_the_pieces_end(end):
    """A stream split at any position, with any line ending, yields the same events."""
    lines = [": keep-alive", "", "event: one", "data: first", "data:second", "id: 5", "", "data:  é ", "", "data: last"]
    stream = b"\xef\xbb\xbf" + end.join(lines).encode()

    expected = [("one", "first\nsecond"), ("", " é "), ("", "last")]
    assert _events(*[bytes([each]) for each in stream]) == expected
    for cut in range(len(stream)):
        assert _events(stream[:cut], stream[cut:]) == expected


def test_comments_and_empty_events_are_nothing():
    """Keep-alives in any form yield no event."""
    assert _events(b": OPENROUTER PROCESSING\n\n\n\nevent: ping\n\nretry: 3\n\n") == []


def test_a_stream_is_known_by_how_it_begins():
    """A stream with another Content-Type is recognised by its first bytes."""
    assert is_event_stream(b'data: {"a": 1}\n\n')
    assert is_event_stream(b"event: error\ndata: {}\n\n")
    assert is_event_stream(b": waiting\n\n")
    assert not is_event_stream(b'{"data": 1}')
    assert first_object(b'event:error\ndata:{"code": "x"}\n\n') == b'{"code":"x"}'
    assert first_object(b"data: overloaded\n\n") is None
    assert first_object(b": nothing\n\n") is None


# -- chunks of a chat completion -------------------------------------------------------------------


def test_chunks_give_the_body_of_the_same_answer_without_streaming():
    """The chunks of a chat completion become the body of the same answer without streaming."""
    stream = _sse(
        _chunk(role="assistant", content=""),
        _chunk(reasoning_content="Let me "),
        _chunk(reasoning_content="see.", content=None),
        _chunk(content="Hello"),
        {**_chunk(), "choices": [{"index": 1, "delta": {"content": "another choice"}, "finish_reason": "length"}]},
        _chunk(content=" there"),
        _chunk("stop"),
        {"id": "c1", "choices": [], "usage": _USAGE},
    )

    expected = {
        "id": "c1",
        "model": "m",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "reasoning_content": "Let me see."},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
    assert _collected(stream) == expected


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([{"refusal": "I can"}, {"refusal": "not"}], {"content": None, "refusal": "I cannot"}),
        ([{"reasoning": "a"}, {"reasoning": "b"}, {"content": "c"}], {"content": "c", "reasoning": "ab"}),
        (
            [{"content": [{"type": "thinking", "thinking": "t"}]}, {"content": "a"}, {"content": "b"}],
            {"content": [{"type": "thinking", "thinking": "t"}, *({"type": "text", "text": x} for x in "ab")]},
        ),
        (
            [
                {
                    "tool_calls": [
                        {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
                {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ": 1}"}}]},
                {"tool_calls": [{"index": 1, "id": "u", "function": {"name": "g", "arguments": "{}"}}]},
            ],
            {
                "content": None,
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "u", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
        ),
        (
            [
                {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": '{"a"'}}]},
                {"tool_calls": [{"function": {"arguments": ": 1}"}}]},
                {"tool_calls": [{"id": "u", "function": {"name": "g", "arguments": {"b": 2}}}]},
            ],
            {
                "content": None,
                "tool_calls": [
                    {"id": "t", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "u", "function": {"name": "g", "arguments": {"b": 2}}},
                ],
            },
        ),
    ],
)
def test_what_a_message_can_be_streamed_as(deltas, message):
    """Refusals, reasoning, lists of contents, and tool calls with or without an index are collected."""
    body = _collected(_sse(*(_chunk(**delta) for delta in deltas), _chunk("stop")))

    assert body["choices"][0]["message"] == {"role": "assistant", **message}


def test_a_whole_answer_in_one_event_is_taken():
    """A complete body in a single event is accepted as the answer."""
    message = {"role": "assistant", "content": "all of it"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}

    assert _collected(_sse({"choices": [choice], "usage": _USAGE}))["choices"] == [choice]


# -- events of a message ---------------------------------------------------------------------------

_START = {
    "type": "message_start",
    "message": {"id": "m1", "type": "message", "role": "assistant", "content": [], "stop_reason": None,
                "usage": {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 4}},
}  # fmt: skip
_END = {
    "type": "message_delta",
    "delta": {"stop_reason": "tool_use", "stop_sequence": None},
    "usage": {"output_tokens": 20, "input_tokens": None},
}


def _block(index: int, start: dict[str, object], *deltas: dict[str, object]) -> list[dict[str, object]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def test_events_give_the_body_of_the_same_message_without_streaming():
    """The events of an Anthropic message become its body: thinking with signature, text, and tool input."""
    stream = _sse(
        _START,
        {"type": "ping"},
        *_block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let me "},
            {"type": "thinking_delta", "thinking": "see."},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *_block(1, {"type": "text", "text": "A"}, {"type": "text_delta", "text": "h"}, {"text": ", so"}),
        *_block(
            2,
            {"type": "tool_use", "id": "t", "name": "conversation", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"user_1": "H'},
            {"type": "input_json_delta", "partial_json": 'i"}'},
        ),
        {"type": "something_new", "index": 2},
        _END,
        {"type": "message_stop"},
        has_end=False,
    )  # fmt: skip

    expected = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {"type": "text", "text": "Ah, so"},
            {"type": "tool_use", "id": "t", "name": "conversation", "input": {"user_1": "Hi"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 20, "cache_read_input_tokens": 4},
    }
    assert _collected(stream) == expected


def test_each_citation_stays_whole():
    """The citations of a text become a list, as in the same message without streaming."""
    citations = [{"cited_text": "tea", "start": 0}, {"cited_text": "milk", "start": 4}]
    deltas = ({"type": "citations_delta", "citation": citation} for citation in citations)
    stream = _sse(_START, *_block(0, {"type": "text", "text": "Both"}, *deltas), _END, has_end=False)

    assert _collected(stream)["content"] == [{"type": "text", "text": "Both", "citations": citations}]


def test_an_input_that_stops_in_the_middle_stays_text():
    """A truncated tool input stays text and is not completed to an object."""
    stream = _sse(
        _START, *_block(0, {"type": "tool_use", "input": {}}, {"partial_json": '{"a": '}), _END, has_end=False
    )

    assert _collected(stream)["content"] == [{"type": "tool_use", "input": '{"a": '}]


# -- streams that are not whole, and errors --------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (b"", "ended before the answer did"),
        (_sse(_chunk(content="Hel"), has_end=False), "ended before the answer did"),
        (_sse(_START, *_block(0, {"type": "text", "text": ""}, {"text": "Hel"}), has_end=False), "ended before"),
        (_sse(_chunk(content="Hel"), has_end=False) + b'data: {"choices": [', "not JSON"),
        (_sse(_chunk(content="Hel"), has_end=False) + b"data: [DO", "not JSON"),
        (_sse(["Hel"]), "not a JSON object"),
        (b"<html><body>Sign in</body></html>", "ended before"),
    ],
)
def test_a_stream_that_is_not_whole_is_never_an_answer(stream, says):
    """A stream without a finish reason and without an end is incomplete."""
    with pytest.raises(IncompleteStream, match=says):
        _collected(stream)


@pytest.mark.parametrize(
    "stream",
    [
        _sse(_chunk("stop", content="all"), has_end=False),
        _sse(_chunk(content="all")),
        _sse(_chunk("stop", content="all"), has_end=False) + b'data: {"usage": {"pro',
        _sse(_chunk("stop", content="all")) + b"data: more\n\n",
    ],
)
def test_a_finish_word_or_an_end_is_enough(stream):
    """A finish reason, or the end of the stream, makes an answer complete."""
    assert _collected(stream)["choices"][0]["message"]["content"] == "all"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (
            _sse(_chunk(content="Hel"), {"error": {"code": 502, "message": "no"}, "choices": [], "usage": _USAGE}),
            {"error": {"code": 502, "message": "no"}, "choices": [], "usage": _USAGE},
        ),
        (
            _sse({"object": "error", "code": 400, "message": "no"}),
            {"error": {"object": "error", "code": 400, "message": "no"}},
        ),
        (
            _sse(_START, has_end=False)
            + b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n',
            {"type": "error", "error": {"type": "overloaded_error"}, "usage": _START["message"]["usage"]},
        ),
        (b'event:error\ndata:{"code": "Throttling"}\n\n', {"error": {"code": "Throttling"}}),
    ],
)
def test_an_error_in_the_middle_is_the_answer(stream, expected):
    """An error in the middle of a stream replaces the answer, and its usage is preserved."""
    assert _collected(stream) == expected


def test_an_empty_error_beside_an_answer_is_none():
    """A field `error: null` in chunks does not count as an error."""
    body = _collected(_sse({**_chunk("stop", content="all"), "error": None}))

    assert body["choices"][0]["message"]["content"] == "all"


def test_halves_of_a_character_in_two_events_are_one():
    """A surrogate pair split over two events becomes one character."""
    first, second = rb'data: {"choices": [{"delta": {"content": "a\ud83d"}}]}', rb'{"delta": {"content": "\ude00b"}}'

    body = _collected(first + b'\n\ndata: {"choices": [' + second + b"]}\n\n" + _sse(_chunk("stop")))

    assert body["choices"][0]["message"]["content"] == "a\U0001f600b"


@pytest.mark.parametrize(
    "odd",
    [b"data: null\n\n", b"data: []\n\n", b'data: {"type": "ping"}\n\n', b'data: {"x": NaN}\n\n'],
)
def test_events_that_say_nothing_spoil_no_answer(odd):
    """Empty events before or within an answer are ignored."""
    chunks = _sse(_chunk(content="all"), has_end=False) + odd + _sse(_chunk("stop"))
    events = _sse(_START, *_block(0, {"type": "text", "text": ""}, {"text": "all"}), has_end=False)
    events += odd + _sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, has_end=False)

    assert _collected(odd + chunks)["choices"][0]["message"]["content"] == "all"
    assert _collected(odd + events)["content"] == [{"type": "text", "text": "all"}]


@pytest.mark.parametrize("after", [b'data: {"error": {"code": 500}}\n\n', b"event: error\ndata: accounting\n\n"])
def test_an_error_after_the_end_spoils_no_answer(after):
    """An error after the finish reason does not invalidate the answer."""
    body = _collected(_sse(_chunk("stop", content="all"), has_end=False) + after)

    assert body["choices"][0]["message"]["content"] == "all"
    assert _collected(_sse(_chunk("error", content="al"), has_end=False) + b'data: {"error": {"code": 500}}\n\n') == {
        "error": {"code": 500}
    }


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("before", [b"", b"\r\n \n", b"\xef\xbb\xbf"])
def test_json_in_place_of_a_stream_is_the_answer(before, size):
    """A plain body sent as a stream is accepted as the answer if it is complete."""
    body = before + b'{"choices": [{"message": {"content": "all"},\n\n"finish_reason": "stop"}]}'
    whole, half = StreamReader(), StreamReader()
    for at in range(0, len(body), size):
        whole.feed(body[at : at + size])
    half.feed(body[:-1])

    assert json.loads(whole.body().decode("utf-8-sig"))["choices"][0]["message"]["content"] == "all"
    with pytest.raises(IncompleteStream):
        half.body()


@pytest.mark.parametrize("depth", [300, 1_000, 2_000])
def test_an_event_that_is_nested_deeply_is_no_part_of_an_answer(depth):
    """An event that is nested too deeply makes the stream incomplete."""
    nested = b'{"a":' * depth + b"1" + b"}" * depth

    assert first_object(b"data: " + nested + b"\n\n") is None
    with pytest.raises(IncompleteStream):
        _collected(b'data: {"choices": [{"delta": ' + nested + b"}]}\n\n")


def test_blocks_may_be_numbered_by_anything():
    """A block index that is not a number causes no error."""
    delta = {"type": "content_block_delta", "index": [0], "delta": {"type": "text_delta", "text": "all"}}

    body = _collected(_sse(_START, delta, {"type": "message_stop"}, has_end=False))

    assert body["content"] == [{"type": "text", "text": "all"}]


def test_an_input_with_a_key_twice_stays_text():
    """A tool input with a duplicate key stays text, since an object would lose a value."""
    written = '{"conversation": {"user_1": "a", "user_1": "b"}}'
    block = _block(0, {"type": "tool_use", "name": "conversation", "input": {}}, {"partial_json": written})

    body = _collected(_sse(_START, *block, {"type": "message_stop"}, has_end=False))

    assert body["content"][0]["input"] == written
