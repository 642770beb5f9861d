"""Resolution of a model's name and a base URL to an endpoint."""

import pytest

from backstay.errors import RecipeError
from backstay.generate.endpoint import resolve_endpoint


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
        ("m", "http://host/v1/chat/completions", "http://host/v1/chat/completions", "m", False),
        ("m", "http://host/chat/completions/", "http://host/chat/completions", "m", False),
        ("m", "http://host/v1?a=b%20c", "http://host/v1/chat/completions?a=b%20c", "m", False),
        ("m", "http://[::1]:8000", "http://[::1]:8000/v1/chat/completions", "m", False),
        ("m", "http://[fe80::1%25eth0]:80", "http://[fe80::1%25eth0]:80/v1/chat/completions", "m", False),
        ("m", "http://my_host-1.", "http://my_host-1./v1/chat/completions", "m", False),
        ("m", "http://xn--exmple-cua.example", "http://xn--exmple-cua.example/v1/chat/completions", "m", False),
        ("anthropic:c", "https://host/v1/messages", "https://host/v1/messages", "c", False),
        # Prefixes in the model names of Ollama and others are not provider names.
        ("openai", "http://localhost:8000", "http://localhost:8000/v1/chat/completions", "openai", False),
        ("mistral:7b", "http://localhost:11434", "http://localhost:11434/v1/chat/completions", "mistral:7b", False),
        ("mistral:7b", None, "https://api.mistral.ai/v1/chat/completions", "7b", True),
        ("deepseek:c", None, "https://api.deepseek.com/chat/completions", "c", True),
        ("m", "https://api.groq.com", "https://api.groq.com/openai/v1/chat/completions", "m", True),
    ],
)
def test_where_a_model_is_asked(model, base_url, url, name, key_required):
    """A prefix names the provider; with the user's own base URL any model name works, and a key may be optional."""
    endpoint = resolve_endpoint(model, base_url, None)

    assert (endpoint.url, endpoint.model, endpoint.key_required) == (url, name, key_required)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("localhost:8000/v1", "must begin with http"),
        ("ftp://host/v1", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://host:port/v1", "not an address"),
        ("http://host\\@127.0.0.1/v1", "backslashes"),
        ("https://n.openai.azure.com/openai/deployments/gpt", "the Azure deployment 'gpt', and lacks its api-version"),
        ("https://me:secret@host/v1", "which may be a credential"),
        ("https://host/v1?api_key=secret", "carries a credential in its query"),
        ("https://host/v1?user_key=secret", "carries a credential in its query"),
        ("https://host/v1#x", "which may be a credential"),
        ("http://ho st/v1", "spaces"),
        ("http://127.1:8000/v1", "no IPv4 address"),
        ("http://127.0.0.1./v1", "no IPv4 address"),
        ("http://host.0x7f/v1", "no IPv4 address"),
        ("http://2130706433/v1", "no IPv4 address"),
        ("http://a..b.example/v1", "two in a row"),
        ("http://.example/v1", "begins with a dot"),
        (f"http://{'a' * 70}.example/v1", "so long a name"),
        (f"http://{'a.' * 130}example/v1", "so long a name"),
        ("http://ex\xe4mple.example/v1", "xn--"),
        ("http://a,b/v1", "characters that no name"),
        ("http://a%41b/v1", "characters that no name"),
        ("http://[::1].example/v1", "only a port may follow"),
        ("http://x[::1]/v1", "only a port may follow"),
        ("http://[v1.a]/v1", "not an IPv6 address"),
        ("", "must begin with http"),
    ],
)
def test_an_address_that_is_none_is_told_with_its_remedy(base_url, says):
    """An invalid address is reported in one line with its remedy, without repeating a credential."""
    with pytest.raises(RecipeError) as raised:
        resolve_endpoint("model", base_url, None)

    assert says in raised.value.message
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("model", "base_url", "url", "variable", "header"),
    [
        (
            "gpt",
            "https://n.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "https://n.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "AZURE_OPENAI_API_KEY",
            "api-key",
        ),
        (
            "openai:gpt",
            "https://n.openai.azure.com",
            "https://n.openai.azure.com/openai/v1/chat/completions",
            "AZURE_OPENAI_API_KEY",
            "api-key",
        ),
        (
            "azure:gpt",
            "https://n.services.ai.azure.com/models?api-version=1",
            "https://n.services.ai.azure.com/models/chat/completions?api-version=1",
            "AZURE_OPENAI_API_KEY",
            "api-key",
        ),
        (
            "gpt",
            "https://gate.example/openai/deployments/d?api-version=1",
            "https://gate.example/openai/deployments/d/chat/completions?api-version=1",
            "OPENAI_API_KEY",
            "api-key",
        ),
        (
            "m",
            "https://openrouter.ai/api/v1",
            "https://openrouter.ai/api/v1/chat/completions",
            "OPENROUTER_API_KEY",
            None,
        ),
        (
            "claude",
            "https://api.anthropic.com",
            "https://api.anthropic.com/v1/chat/completions",
            "ANTHROPIC_API_KEY",
            None,
        ),
        (
            "groq:m",
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/chat/completions",
            "OPENAI_API_KEY",
            None,
        ),
    ],
)
def test_a_host_says_whose_key_and_which_header(model, base_url, url, variable, header):
    """Azure's hosts, and gateways in front of a deployment, get the key in `api-key`."""
    endpoint = resolve_endpoint(model, base_url, None)

    assert (endpoint.url, endpoint.key_variable, endpoint.key_header) == (url, variable, header)


def test_openai_elsewhere_is_asked_in_the_older_words():
    """Other servers with OpenAI's API get the older name of the token limit."""
    fields = {
        base_url: resolve_endpoint("openai:m", base_url, None).provider.token_field
        for base_url in (None, "https://api.openai.com/v1", "https://gate.example/v1")
    }

    assert list(fields.values()) == ["max_completion_tokens", "max_completion_tokens", "max_tokens"]


def test_what_a_recipe_adds_is_in_the_request():
    """Requests have the recipe's query, headers and key header; its query overrides that of the address."""
    endpoint = resolve_endpoint(
        "m", "http://host/v1?a=1&b=2", None, query={"b": "3"}, headers={"X-Team": "blue"}, key_header="X-Gate"
    )

    assert endpoint.url == "http://host/v1/chat/completions?a=1&b=3"
    assert endpoint.request_headers("k") == {"X-Team": "blue", "X-Gate": "k"}


@pytest.mark.parametrize(
    ("model", "environ", "url", "variable"),
    [
        ("openai:m", {"OPENAI_BASE_URL": "http://gate/v2"}, "http://gate/v2/chat/completions", "OPENAI_BASE_URL"),
        ("openai:m", {"OPENAI_BASE_URL": " "}, "https://api.openai.com/v1/chat/completions", None),
        ("openai:m", {"OLLAMA_HOST": "h"}, "https://api.openai.com/v1/chat/completions", None),
        ("anthropic:m", {"ANTHROPIC_BASE_URL": "http://g/a/"}, "http://g/a/v1/messages", "ANTHROPIC_BASE_URL"),
        ("anthropic:m", {"ANTHROPIC_BASE_URL": "http://g/v1"}, "http://g/v1/messages", "ANTHROPIC_BASE_URL"),
        ("ollama:m", {"OLLAMA_HOST": "10.0.0.5"}, "http://10.0.0.5:11434/v1/chat/completions", "OLLAMA_HOST"),
        ("ollama:m", {"OLLAMA_HOST": "0.0.0.0:99"}, "http://127.0.0.1:99/v1/chat/completions", "OLLAMA_HOST"),
        ("ollama:m", {"OLLAMA_HOST": ":99"}, "http://127.0.0.1:99/v1/chat/completions", "OLLAMA_HOST"),
        ("ollama:m", {"OLLAMA_HOST": "::1"}, "http://[::1]:11434/v1/chat/completions", "OLLAMA_HOST"),
        ("ollama:m", {"OLLAMA_HOST": "https://o.example/"}, "https://o.example/v1/chat/completions", "OLLAMA_HOST"),
        ("gemini:m", {"OPENAI_BASE_URL": "http://gate/v1"}, None, None),
    ],
)
def test_the_environment_names_an_address(model, environ, url, variable):
    """An environment variable with a base URL is read like the provider's own library does, for that provider only."""
    endpoint = resolve_endpoint(model, None, None)

    resolved = endpoint.in_environment(environ)

    assert (resolved.url, resolved.variable) == (url or endpoint.url, variable)


def test_an_address_in_the_recipe_wins_over_the_environment():
    """A base URL in the recipe takes precedence over the environment."""
    endpoint = resolve_endpoint("openai:m", "http://mine/v1", None)

    assert endpoint.in_environment({"OPENAI_BASE_URL": "http://other/v1"}) is endpoint


@pytest.mark.parametrize(
    ("model", "api_key_env", "required"),
    [("openai:m", "GATE_KEY", True), ("openai:m", None, False), ("ollama:m", "GATE_KEY", True)],
)
def test_a_key_that_the_recipe_names_is_needed_at_an_address_of_the_environment(model, api_key_env, required):
    """A key that the recipe names is needed wherever the environment moves the endpoint, a default one is not."""
    environ = {"OPENAI_BASE_URL": "http://gate/v1", "OLLAMA_HOST": "gate"}

    endpoint = resolve_endpoint(model, None, api_key_env).in_environment(environ)

    assert (endpoint.host.partition(":")[0], endpoint.key_required) == ("gate", required)


def test_an_address_of_the_environment_that_is_none_is_named():
    """An invalid address in the environment is reported with the name of its variable."""
    with pytest.raises(RecipeError, match="The base URL in OPENAI_BASE_URL 'gate' cannot be used"):
        resolve_endpoint("openai:m", None, None).in_environment({"OPENAI_BASE_URL": "gate"})
