"""Detection of secrets, and the check that recipes contain none."""

import pytest

from backstay import Recipe
from backstay.errors import RecipeError
from backstay.generate.secret_detection import Secrets, check_no_credentials

_REAL = "sk-live/0123456789abcdef"


def test_a_real_key_is_found_and_hidden():
    """A key of at least 16 characters is found in any JSON spelling; a short key or a plain word never is."""
    for value, body, hidden in (
        (_REAL, b"no such key: sk-live/0123456789abcdef", b"no such key: [key]"),
        (_REAL, b'{"said": "sk-live\\/0123456789abcdef"}', b'{"said": "[key]"}'),
        (_REAL, b'{"said": "\\u0073k\\u002Dlive\\u002f0123456789abcdef"}', b'{"said": "[key]"}'),
        (_REAL, rb'{"said": "{\"user_1\": \"sk-live\\\/0123456789abcdef\"}"}', rb'{"said": "{\"user_1\": \"[key]\"}"}'),
        ("ab+cd=ef+0123456789", rb'"ab\u002bcd\u003Def\\u002B0123456789"', b'"[key]"'),
        ('a"quoted\\key0123456789', rb'{"said": "a\"quoted\\key0123456789"}', b'{"said": "[key]"}'),
        (_REAL, rb'{"said": "SK-live\/0123456789abcdef \u0041"}', None),
        ("0123456789abcde", b"0123456789abcde", None),
        ("incomprehensibilities", b"incomprehensibilities", None),
        (None, b"nothing", None),
        ("", b"nothing", None),
    ):
        secrets = Secrets([value])
        assert (secrets.are_in(body), secrets.redact(body)) == (hidden is not None, hidden or body)


def test_a_secret_that_begins_another_leaves_no_rest_of_it():
    """If one secret is the beginning of another, the longer one is redacted as a whole."""
    secrets = Secrets([_REAL, f"{_REAL}-longer"])

    assert secrets.redact(f"so: {_REAL}-longer".encode()) == b"so: [key]"
    assert secrets.redact(rf"so: \u0073{_REAL[1:]}-longer".encode()) == b"so: [key]"


def test_a_text_is_searched_and_cleaned_as_a_body_is():
    """A text is searched and redacted like a body, also with an unpaired surrogate in it."""
    secrets = Secrets([_REAL])

    assert secrets.are_in_texts([f"so: {_REAL}."])
    assert not secrets.are_in_texts(["so: sk-live"])
    assert secrets.redact_text(f"so: {_REAL}, \ud83d") == "so: [key], ?"
    assert Secrets(["short"]).redact_text("short \ud83d") == "short \ud83d"


_REFUSED = [
    {"parameters": {"api_key": "x"}},
    {"parameters": {"extra": {"Authorization": "x"}}},
    {"parameters": {"user": "sk-0123456789abcdef0123"}},
    {"parameters": {"sk-0123456789abcdef0123": 1}},
    {"language": f"in {_REAL}"},
    {"system": f"Your key is {_REAL}"},
    {"headers": {"X-Team": "Bearer abcdefghijklmnop"}},
    {"query": {"user": _REAL}},
]


@pytest.mark.parametrize("fields", _REFUSED, ids=str)
def test_a_credential_in_a_recipe_is_refused(fields):
    """A recipe may contain neither a key from the environment nor a parameter for a credential."""
    with pytest.raises(RecipeError, match="carries a credential") as raised:
        check_no_credentials(fields, {"SOME_API_KEY": f"{_REAL}\n"})

    assert "0123456789abcdef" not in str(raised.value)
    assert "key_header" in raised.value.message


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"parameters": {"token": "x"}}, "parameters.token"),
        ({"parameters": {"extra": {"Authorization": ["x"]}}}, "parameters.extra.Authorization"),
        ({"parameters": {f"{_REAL}": 1}}, "parameters"),
    ],
)
def test_the_parameter_for_a_credential_is_named(fields, path):
    """The message names a parameter for a credential; of a name that is itself a credential, only the table."""
    with pytest.raises(RecipeError, match=f"^The recipe's {path} carries a credential") as raised:
        check_no_credentials(fields, {"SOME_API_KEY": _REAL})

    assert raised.value.context["field"] == path


def test_the_variable_of_the_recipe_is_known_whatever_its_name(monkeypatch):
    """A key in the variable that the recipe names is detected, whatever the variable is called."""
    monkeypatch.setenv("MY_ACCESS", _REAL)

    with pytest.raises(RecipeError, match="system carries a credential"):
        Recipe(model="openai:gpt", api_key_env="MY_ACCESS", system=f"Say {_REAL}")


def test_what_only_sounds_like_a_credential_is_let_through():
    """Prompts about keys, short keys, plain words and ordinary names are accepted."""
    environ = {"A_API_KEY": "local-key", "B_API_KEY": "incomprehensibilities", "HOME": "/home/generous-person"}

    check_no_credentials(
        {
            "system": "Keys look like sk-0123456789abcdef0123, and are sent as Bearer abcdefghijklmnop.",
            "prompt": "A local-key for {{ topic }}, of incomprehensibilities, in /home/generous-person",
            "parameters": {"max_completion_tokens": 5, "logit_bias": {"50256": -1}, "user": "me", "stop_token": "x"},
            "headers": {"X-App-Id": "team", "Idempotency-Key": "7", "OpenAI-Organization": "org"},
            "query": {"api-version": "2024-10-21"},
        },
        environ,
    )
