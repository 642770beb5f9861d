"""What the environment says about the way to a provider, and what it must not say."""

import pytest
from yarl import URL

from backstay import Counts, Recipe
from backstay.generate.http import _proxy_to
from support.provider import KEY

_ELSEWHERE = "http://models.example/v1"  # nobody has this name, so only a proxy can answer for it


@pytest.fixture
def proxy(provider, monkeypatch):
    """The provider, as the proxy for every host; requests say whom they are for."""
    address = provider.base_url.removesuffix("/v1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, address)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return provider


async def test_a_proxy_of_the_environment_is_used(proxy, generate):
    """The request goes to it, whole and with its key."""
    result = await generate(3, recipe=Recipe(model="m", base_url=_ELSEWHERE, turns=2))

    assert result.counts == Counts(completed=3)
    assert {call.headers["Host"] for call in proxy.calls} == {"models.example"}


async def test_a_password_of_netrc_does_not_take_the_place_of_the_key(proxy, generate, monkeypatch, tmp_path):
    """A file that other programs read their passwords from is none of ours."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))

    result = await generate(1, recipe=Recipe(model="m", base_url=_ELSEWHERE, turns=2))

    assert result.counts == Counts(completed=1)
    assert proxy.calls[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]/v1"])
def test_a_server_on_this_machine_needs_no_proxy(url, proxy):
    """It is for the way out."""
    assert _proxy_to(URL(url)) is None


def test_no_proxy_is_heeded(proxy, monkeypatch):
    """Hosts that the environment leaves out are asked directly."""
    monkeypatch.setenv("no_proxy", "models.example")

    assert _proxy_to(URL("https://models.example/v1")) is None
    assert _proxy_to(URL("https://other.example/v1")) is not None
