"""`backstay probe` reports what an endpoint supports, in a few calls."""

import json
import re
import tomllib

import pytest

from backstay.generate.recipe import Recipe
from support.fakes.provider import KEY, Hang, ProviderServer, Said, Sent, Status, Streamed, shaped
from support.stores.postgres import free_port


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ProviderServer() as server:
        yield server


def _answer(call, text=None, **headers):
    """Answer the request, with headers."""
    text = text if text is not None else json.dumps({key: f"{key} said" for key in call.keys})
    return Status(200, shaped(call, text, Said()), headers)


def test_an_endpoint_that_can_do_all_costs_one_call(within, provider):
    """A probe of a capable endpoint makes one call, reports structure, end, usage and limits, and stores nothing."""
    provider.behaviour = lambda call: _answer(call, **{"x-ratelimit-limit-requests": "500", "X-Other": "1"})

    ended = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert ended.code == 0, ended.err
    lines = [line.split(maxsplit=1) for line in ended.out.split("\n\n")[0].splitlines()]
    assert dict(lines) == {
        "structure": "schema",
        "stream": "not requested",
        "end": "stop",
        "thinking": "none seen",
        "usage": "reported",
        "limits": "x-ratelimit-limit-requests: 500",
        "cost": "1 call, 100 + 50 tokens",
    }
    assert len(provider.calls) == 1


def test_what_a_server_sends_is_shown_without_the_key_and_harms_no_terminal(within, provider):
    """A limit that contains the key or an escape sequence is printed without either."""
    limits = {"x-ratelimit-key": f"of {KEY}", "x-ratelimit-reset": "1s\u009b2J\u202e"}

    def behave(call):
        answer = _answer(call, **limits)
        answer.body["choices"][0]["finish_reason"] = f"\x1b[2J{KEY}"
        return answer

    provider.behaviour = behave
    output = [within("probe", "--model", "m", "--base-url", provider.base_url, *more).out for more in ((), ("--json",))]

    assert "limits     x-ratelimit-key: of [key]; x-ratelimit-reset: 1s2J" in output[0]
    assert "end        [2J[key], an unknown reason" in output[0]
    assert not {"\x1b", "\u009b", "\u202e"} & {*output[0]}
    assert KEY not in "".join(output)


def test_what_is_refused_is_asked_for_in_another_way(within, backstay, provider):
    """A probe retries with another parameter name and a plainer structure, and the recipe lines record both."""

    def behave(call):
        if "max_tokens" in call.body:
            return Status(
                400,
                {
                    "error": {
                        "message": "'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
                        "code": "unsupported_parameter",
                        "param": "max_tokens",
                    }
                },
            )
        if call.body.get("response_format", {}).get("type") == "json_schema":
            return Status(400, {"error": {"message": "response_format json_schema is not supported"}})
        text = json.dumps({key: f"{key} said" for key in call.keys})
        return Status(200, shaped(call, text, Said()) | {"choices": [_thinking(text)]})

    def _thinking(text):
        return {"message": {"content": text, "reasoning_content": "Hm."}, "finish_reason": "eos"}

    provider.behaviour = behave
    (backstay.folder / "r.toml").write_text(
        f'model = "m"\nbase_url = "{provider.base_url}"\nmax_tokens = 99\nkey_header = "X-Gate"\n[query]\na = "b"\n'
    )

    report = within("probe", "--recipe", "r.toml", "--json").json

    assert (report["structure"], report["rejected"], report["renamed"]) == (
        "json",
        ["schema"],
        {"max_tokens": "max_completion_tokens"},
    )
    assert (report["thinking"], report["end"], report["isEndKnown"]) == (["reasoning_content"], "eos", True)
    assert (report["calls"], len(provider.calls)) == (3, 3)
    recipe = tomllib.loads("\n".join(report["recipe"]))
    assert recipe == {
        "model": "m",
        "base_url": provider.base_url,
        "key_header": "X-Gate",
        "structured": "json",
        "query": {"a": "b"},
    }
    Recipe.from_fields(recipe)


def test_a_stream_is_asked_for_where_nothing_else_is_given(within, provider):
    """A probe requests a stream if the endpoint offers nothing else."""
    provider.behaviour = lambda call: (
        _answer(call) if call.body.get("stream") else Status(400, {"error": {"message": "only streaming is supported"}})
    )

    ended = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert ended.code == 0, ended.out
    assert [call.body.get("stream", False) for call in provider.calls] == [False, True]
    assert "stream = true" in ended.out


@pytest.mark.parametrize(
    ("reply", "says", "calls"),
    [
        (Status(401), "does not accept the key in OPENAI_API_KEY (401); put a valid one there, then try again", 1),
        (Status(404, "<html>no</html>"), "does not exist", 1),
        (Status(503), "is overloaded (503)", 1),
        (Said("I would rather talk."), "", 3),
    ],
)
def test_what_is_in_the_way_is_said(within, provider, reply, says, calls):
    """A probe that fails exits with 1, prints no recipe lines and makes no needless calls."""
    provider.behaviour = lambda _: reply

    ended = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert ended.code == 1
    assert says in ended.out
    assert "problem    " in ended.out
    assert "model =" not in ended.out
    assert len(provider.calls) == calls
    assert not re.search(r"resume|discard|\bjob\b|JOB", ended.out)
    assert not re.search(r"^(structure +none|usage +not|limits +none|thinking +none|stream)", ended.out, re.MULTILINE)
    assert re.search(rf"^cost       {calls} calls?, ", ended.out, re.MULTILINE)


def test_what_an_endpoint_said_is_shown_without_the_key(within, provider):
    """A probe prints the start of an error response on one line, without the key."""
    error = {"error": {"message": f"no\n\x1b[31m{KEY} " + "x" * 400}}
    provider.behaviour = lambda _: Status(400, error)
    words = ("probe", "--model", "m", "--base-url", provider.base_url)

    (message,) = [line for line in within(*words).out.splitlines() if line.startswith("said ")]
    text = within(*words, "--json").json

    assert message.startswith('said       {"error": {"message": "no')
    assert message.endswith("x…")
    assert len(message) <= 311
    assert KEY not in message
    assert "[key]" in message
    assert KEY not in json.dumps(text)
    assert (text["problemCode"], text["excerpt"][:9]) == ("bad_request", '{"error":')
    assert (text["endpoint"]["url"], text["answered"]) == (f"{provider.base_url}/chat/completions", 1)


def test_an_answer_with_half_a_character_is_shown(within, provider):
    """A probe prints an answer that has an unpaired surrogate, which cannot be encoded, with a replacement."""
    body = b'{"choices": [{"message": {"content": "No, \\ud83d."}, "finish_reason": "stop"}]}'
    provider.behaviour = lambda _: Sent(body)
    words = ("probe", "--model", "m", "--base-url", provider.base_url)

    ended = within(*words)

    assert ended.code == 1
    assert "said       No, ?." in ended.out
    assert within(*words, "--json").json["excerpt"] == "No, ?."


def test_a_malformed_response_has_its_own_code(within, provider):
    """A probe reports the code of a malformed response, not that of the call before it."""
    provider.behaviour = lambda call: Said("No.") if call.number == 1 else Streamed([b"data: no JSON\n\n"])

    report = within("probe", "--model", "m", "--base-url", provider.base_url, "--json").json

    assert (report["problemCode"], report["calls"]) == ("broken_answer", 2)
    assert "an event of the stream is not JSON" in report["problem"]


def test_an_answer_that_is_no_conversation_is_shown(within, provider):
    """A probe prints an answer that is no conversation, unless a later call succeeds."""
    provider.behaviour = lambda call: Said(f"I would rather talk, says {KEY}.")
    words = ("probe", "--model", "m", "--base-url", provider.base_url)
    ended = within(*words)
    provider.behaviour = lambda call: Said("No.") if "response_format" in call.body else Said()
    report = within(*words, "--json").json

    assert "said       I would rather talk, says [key].\nstructure  not schema, json\nend        stop\n" in ended.out
    assert "usage      reported\ncost       3 calls, 300 + 150 tokens\n" in ended.out
    assert (report["problem"], report["problemCode"], report["excerpt"]) == (None, None, None)


def test_an_answer_that_is_cut_takes_a_higher_bound(within, provider):
    """After a truncated answer, a probe raises the maximum of tokens and writes it into the recipe lines."""
    provider.behaviour = lambda _: Said(finish="length")

    ended = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert "the answer was truncated at its maximum length; raise `max_tokens` in the recipe\n" in ended.out


def test_an_unreachable_endpoint_answers_no_call(within):
    """A probe of an unreachable endpoint counts no answered call and reports no findings."""
    address = f"http://127.0.0.1:{free_port()}/v1"

    ended = within("probe", "--model", "m", "--base-url", address)

    assert ended.code == 1
    problem, cost = ended.out.splitlines()
    assert problem.startswith(f"problem    Nothing answers at {address} (")
    assert "start the server, then try again" in problem
    assert cost == "cost       0 of 1 call answered, 0 + 0 tokens"


def test_how_long_it_waits_can_be_said(within, provider):
    """A probe that times out names its --timeout."""
    provider.behaviour = lambda _: Hang()

    words = ("probe", "--model", "m", "--base-url", provider.base_url, "--timeout", "0.3")
    report = within(*words, "--json").json

    assert report["problemCode"] == "timeout"
    assert report["problem"].endswith("did not answer within 0.3 s")
    assert "did not answer within 0.3 s; give it longer with --timeout" in within(*words).out


def test_without_anything_to_ask_the_options_are_named(within):
    """A probe without a recipe or a model names the options that choose one."""
    refused = within("probe")

    assert refused.code == 2
    assert "--recipe FILE, or --model M, with --base-url URL" in refused.one_line_error()


def test_a_recipe_is_asked_about_its_key_first(within, backstay, provider):
    """A probe asks for permission to send a recipe's key before it sends anything."""
    (backstay.folder / "r.toml").write_text('model = "m"\nbase_url = "https://models.example/v1"\n')

    refused = within("probe", "--recipe", "r.toml")

    assert refused.code == 2
    assert "sends the key in OPENAI_API_KEY to models.example" in refused.one_line_error()
