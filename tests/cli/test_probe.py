"""`backstay probe`: what an endpoint can do, for a few calls."""

import json
import re
import tomllib

import pytest

from backstay.generate.recipe import Recipe
from support.postgres import free_port
from support.provider import KEY, Hang, ProviderServer, Said, Status, shaped


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ProviderServer() as server:
        yield server


def _answer(call, text=None, **headers):
    """Answer as asked, with headers."""
    text = text if text is not None else json.dumps({key: f"{key} said" for key in call.keys})
    return Status(200, shaped(call, text, Said()), headers)


def test_an_endpoint_that_can_do_all_costs_one_call(within, provider):
    """Structure, end, usage and the limits in headers are named, and nothing is stored."""
    provider.behaviour = lambda call: _answer(call, **{"x-ratelimit-limit-requests": "500", "X-Other": "1"})

    shown = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert shown.code == 0, shown.err
    lines = [line.split(maxsplit=1) for line in shown.out.split("\n\n")[0].splitlines()]
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
    """A limit that repeats the key is told without it, also as JSON, and an escape in one is not obeyed."""
    limits = {"x-ratelimit-key": f"of {KEY}", "x-ratelimit-reset": "1s\u009b2J\u202e"}

    def behave(call):
        answer = _answer(call, **limits)
        answer.body["choices"][0]["finish_reason"] = f"\x1b[2J{KEY}"
        return answer

    provider.behaviour = behave
    shown = [within("probe", "--model", "m", "--base-url", provider.base_url, *more).out for more in ((), ("--json",))]

    assert "limits     x-ratelimit-key: of [key]; x-ratelimit-reset: 1s2J" in shown[0]
    assert "end        [2J[key], an unknown reason" in shown[0]
    assert not {"\x1b", "\u009b", "\u202e"} & {*shown[0]}
    assert KEY not in "".join(shown)


def test_what_is_refused_is_asked_for_in_another_way(within, backstay, provider):
    """A probe renames the token limit, then falls back to a simpler structure; its recipe has the result."""

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

    told = within("probe", "--recipe", "r.toml", "--json").json

    assert (told["structure"], told["refused"], told["renamed"]) == (
        "json",
        ["schema"],
        {"max_tokens": "max_completion_tokens"},
    )
    assert (told["thinking"], told["end"], told["isEndKnown"]) == (["reasoning_content"], "eos", True)
    assert (told["calls"], len(provider.calls)) == (3, 3)
    recipe = tomllib.loads("\n".join(told["recipe"]))
    assert recipe == {
        "model": "m",
        "base_url": provider.base_url,
        "key_header": "X-Gate",
        "structured": "json",
        "query": {"a": "b"},
    }
    Recipe.from_fields(recipe)


def test_a_stream_is_asked_for_where_nothing_else_is_given(within, provider):
    """The next call asks for one."""
    provider.behaviour = lambda call: (
        _answer(call) if call.body.get("stream") else Status(400, {"error": {"message": "only streaming is supported"}})
    )

    shown = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert shown.code == 0, shown.out
    assert [call.body.get("stream", False) for call in provider.calls] == [False, True]
    assert "stream = true" in shown.out


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
    """With status 1, no lines for a recipe, and no more calls than can find something out."""
    provider.behaviour = lambda _: reply

    shown = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert shown.code == 1
    assert says in shown.out
    assert "problem    " in shown.out
    assert "model =" not in shown.out
    assert len(provider.calls) == calls
    assert not re.search(r"resume|discard|\bjob\b|JOB", shown.out)
    assert not re.search(r"^(structure +none|usage +not|limits +none|thinking +none|stream)", shown.out, re.MULTILINE)
    assert re.search(rf"^cost       {calls} calls?, ", shown.out, re.MULTILINE)


def test_what_an_endpoint_said_is_shown_without_the_key(within, provider):
    """The beginning of a refusal, on one line; as JSON with its code, and where it was asked."""
    error = {"error": {"message": f"no\n\x1b[31m{KEY} " + "x" * 400}}
    provider.behaviour = lambda _: Status(400, error)
    words = ("probe", "--model", "m", "--base-url", provider.base_url)

    (said,) = [line for line in within(*words).out.splitlines() if line.startswith("said ")]
    told = within(*words, "--json").json

    assert said.startswith('said       {"error": {"message": "no')
    assert said.endswith("x…")
    assert len(said) <= 311
    assert KEY not in said
    assert "[key]" in said
    assert KEY not in json.dumps(told)
    assert (told["problemCode"], told["said"][:9]) == ("bad_request", '{"error":')
    assert (told["endpoint"]["url"], told["answered"]) == (f"{provider.base_url}/chat/completions", 1)


def test_an_answer_that_is_no_conversation_is_shown(within, provider):
    """What the model said, and what is known of the endpoint all the same; nothing of it when all is well at last."""
    provider.behaviour = lambda call: Said(f"I would rather talk, says {KEY}.")
    words = ("probe", "--model", "m", "--base-url", provider.base_url)
    shown = within(*words)
    provider.behaviour = lambda call: Said("No.") if "response_format" in call.body else Said()
    told = within(*words, "--json").json

    assert "said       I would rather talk, says [key].\nstructure  not schema, json\nend        stop\n" in shown.out
    assert "usage      reported\ncost       3 calls, 300 + 150 tokens\n" in shown.out
    assert (told["problem"], told["problemCode"], told["said"]) == (None, None, None)


def test_an_answer_that_is_cut_takes_a_higher_bound(within, provider):
    """In the recipe: a probe has no job that keeps one."""
    provider.behaviour = lambda _: Said(finish="length")

    shown = within("probe", "--model", "m", "--base-url", provider.base_url)

    assert "the answer was truncated at its maximum length; raise `max_tokens` in the recipe\n" in shown.out


def test_where_nobody_answers_no_call_was_answered(within):
    """And nothing is said of what was not seen."""
    address = f"http://127.0.0.1:{free_port()}/v1"

    shown = within("probe", "--model", "m", "--base-url", address)

    assert shown.code == 1
    problem, cost = shown.out.splitlines()
    assert problem.startswith(f"problem    Nothing answers at {address} (")
    assert "start the server, then try again" in problem
    assert cost == "cost       0 of 1 call answered, 0 + 0 tokens"


def test_how_long_it_waits_can_be_said(within, provider):
    """The message says how long that was."""
    provider.behaviour = lambda _: Hang()

    told = within("probe", "--model", "m", "--base-url", provider.base_url, "--timeout", "0.3", "--json").json

    assert told["problemCode"] == "timeout"
    assert told["problem"].endswith("did not answer within 0.3 s; give it longer with --timeout")


def test_without_anything_to_ask_the_options_are_named(within):
    """All that say where."""
    refused = within("probe")

    assert refused.code == 2
    assert "--recipe FILE, or --model M, with --base-url URL" in refused.one_line_error()


def test_a_recipe_is_asked_about_its_key_first(within, backstay, provider):
    """Nothing is sent before."""
    (backstay.folder / "r.toml").write_text('model = "m"\nbase_url = "https://models.example/v1"\n')

    refused = within("probe", "--recipe", "r.toml")

    assert refused.code == 2
    assert "sends the key in OPENAI_API_KEY to models.example" in refused.one_line_error()
