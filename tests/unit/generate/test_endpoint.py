"""Whose model it is, where it is asked, and with which key."""

import pytest

from backstay.errors import KeyMissing, RecipeError
from backstay.generate.credentials import hidden_bytes, key_from
from backstay.generate.endpoint import endpoint_of


@pytest.mark.parametrize(
    ("model", "base_url", "url", "name", "key_required"),
    [
        ("openai:gpt-4o", None, "https://api.openai.com/v1/chat/completions", "gpt-4o", True),
        ("anthropic:claude", None, "https://api.anthropic.com/v1/messages", "claude", True),
        ("ollama:llama3:8b", None, "http://localhost:11434/v1/chat/completions", "llama3:8b", False),
        ("llama3", "http://localhost:8000", "http://localhost:8000/v1/chat/completions", "llama3", False),
        (
            "meta/llama:free",
            "https://a.example/api/v1/",
            "https://a.example/api/v1/chat/completions",
            "meta/llama:free",
            False,
        ),
        ("anthropic:c", "https://proxy.example", "https://proxy.example/v1/messages", "c", False),
    ],
)
def test_where_a_model_is_asked(model, base_url, url, name, key_required):
    """A prefix names the provider; with an address of one's own any name will do, and a key may not be needed."""
    endpoint = endpoint_of(model, base_url, None)

    assert (endpoint.url, endpoint.model, endpoint.key_required) == (url, name, key_required)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("localhost:8000/v1", "must begin with http"),
        ("ftp://host/v1", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://host:port/v1", "no address"),
        ("http://host/v1/chat/completions", "give what comes before: http://host/v1"),
        ("https://host/v1/messages/", "give what comes before: https://host/v1"),
        ("https://me:secret@host/v1", "where credentials hide"),
        ("https://host/v1?api_key=secret", "where credentials hide"),
        ("https://host/v1#x", "where credentials hide"),
        ("http://ho st/v1", "spaces"),
        ("", "must begin with http"),
    ],
)
def test_an_address_that_is_none_is_told_with_its_remedy(base_url, says):
    """Each mistake is one line, and never repeats a credential."""
    with pytest.raises(RecipeError) as raised:
        endpoint_of("model", base_url, None)

    assert says in raised.value.message
    assert "secret" not in raised.value.message


def test_keys_come_from_the_environment():
    """Spaces around a key are nobody's intention; a missing one is named by its variable."""
    assert key_from("K", required=True, model="m", environ={"K": " abc \n"}) == "abc"
    assert key_from("K", required=False, model="m", environ={}) is None
    with pytest.raises(KeyMissing, match="environment variable K"):
        key_from("K", required=True, model="m", environ={"K": "  "})
    with pytest.raises(KeyMissing) as raised:
        key_from("K", required=True, model="m", environ={"K": "sécret key"})
    assert "cret" not in raised.value.message.replace("[key]", "")


def test_a_key_that_comes_back_is_taken_out():
    """What a provider repeats of our key is not kept."""
    assert hidden_bytes(b"no such key: 0123456789abcdef", "0123456789abcdef") == b"no such key: [key]"
    assert hidden_bytes(b"an EMPTY page", "EMPTY") == b"an EMPTY page"  # no secret, but a word of many texts
    assert hidden_bytes(b"nothing", None) == b"nothing"
