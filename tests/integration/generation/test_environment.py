"""Proxies, certificates and credentials that the environment names, and those it must not supply."""

import logging
import os
import socket
from base64 import b64encode

import pytest

from backstay import ItemCounts, Recipe
from backstay.errors import SettingsError
from backstay.generate.http_client import ConnectFailed, ConnectionLost, HttpClient, HttpResponse
from integration.generation._certificates import make_certificate
from integration.generation._http_proxy import HttpProxy
from support.fakes.provider import KEY, ProviderServer, Reset, Sent, Status, Streamed

_ELSEWHERE = "http://models.example/v1"  # no host has this name, so only a proxy can answer


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


async def _post(url: str) -> HttpResponse:
    http = HttpClient(url, {"Authorization": f"Bearer {KEY}"})
    try:
        return await http.post(b"{}")
    finally:
        await http.close()


async def _fails(url: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as raised:
        await _post(url)
    return raised.value


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reset(), "the server closed it before it answered|connection reset by peer"),
        (Streamed([b"{"], "cut", "application/json"), "the answer ended before it was whole"),
    ],
)
async def test_what_cuts_an_answer_is_said_in_words(reply, says, provider):
    """The reason for a lost connection is given in words, not as the name of a class."""
    provider.behaviour = lambda _: reply

    with pytest.raises(ConnectionLost, match=rf"^({says})$"):
        await _post(f"{provider.base_url}/chat/completions")


# -- proxies ---------------------------------------------------------------------------------------


async def test_a_job_goes_through_the_proxy_of_the_environment(provider, generate, monkeypatch):
    """Requests go through the proxy of the environment with their key, even if its address has no scheme."""
    with HttpProxy(provider.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.address)

        result = await generate(3, recipe=Recipe(model="m", base_url=_ELSEWHERE, turns=2))

    assert result.counts == ItemCounts(completed=3)
    assert set(proxy.asked) == {"http://models.example/v1/chat/completions"}
    assert {call.headers["Authorization"] for call in provider.calls} == {f"Bearer {KEY}"}


async def test_an_endpoint_with_tls_is_reached_through_a_tunnel(tmp_path, monkeypatch):
    """A TLS endpoint is reached through a tunnel: the proxy sees host and port only."""
    certificate = make_certificate(tmp_path, "models.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    with (
        ProviderServer(lambda _: Sent(b"{}"), tls=certificate.server) as provider,
        HttpProxy(provider.port) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.address)

        reply = await _post("https://models.example/v1")

    assert (reply.status, reply.body, proxy.asked) == (200, b"{}", ["models.example:443"])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_password_is_known_as_the_one_that_refused(scheme, monkeypatch):
    """A 407 from a proxy names the proxy, for a request and for a tunnel alike."""
    with HttpProxy(0, refuses_with=407) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"me:hunter2@{proxy.address}")

        reply = await _post(f"{scheme}://models.example/v1")

    assert reply.status == 407
    assert proxy.credentials == [f"Basic {b64encode(b'me:hunter2').decode()}"]
    assert str(reply.proxy) == f"the proxy {proxy.address} (ALL_PROXY)"


async def test_a_407_of_the_endpoint_itself_is_not_blamed_on_a_proxy(provider):
    """A 407 without a proxy on the way is attributed to the endpoint."""
    provider.behaviour = lambda _: Status(407)

    reply = await _post(provider.base_url)

    assert (reply.status, reply.proxy) == (407, None)


async def test_a_job_whose_proxy_refuses_it_is_paused(generate, monkeypatch):
    """A job whose proxy rejects it pauses with its items, and names the proxy and variable without the password."""
    with HttpProxy(0, refuses_with=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"me:hunter2@{proxy.address}")

        result = await generate(2, recipe=Recipe(model="m", base_url="https://models.example/v1", turns=2))

    assert (result.counts, result.pause.code) == (ItemCounts(pending=2), "proxy_refused")
    assert f"{proxy.address} (HTTPS_PROXY)" in result.pause.message
    assert "hunter2" not in result.pause.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_is_named(scheme, monkeypatch):
    """If the proxy does not answer, the error names the proxy and not the endpoint."""
    address = f"127.0.0.1:{_closed_port()}"
    monkeypatch.setenv("ALL_PROXY", f"me:hunter2@{address}")

    error = await _fails(f"{scheme}://models.example/v1")

    assert str(error) == f"the proxy {address} (ALL_PROXY) does not answer (connection refused)"
    assert error.proxy is not None


async def test_a_proxy_whose_name_is_unknown_is_named(monkeypatch):
    """An unknown host name of a proxy is distinguished from that of the endpoint."""
    monkeypatch.setenv("ALL_PROXY", "proxy.invalid:3128")

    assert "proxy.invalid:3128 (ALL_PROXY) does not answer (host proxy.invalid not found)" in str(
        await _fails("http://models.example/v1")
    )
    monkeypatch.setenv("NO_PROXY", "models.invalid")
    direct = await _fails("http://models.invalid/v1")
    assert (str(direct), direct.proxy) == ("host models.invalid not found", None)


async def test_a_tunnel_that_is_refused_for_another_reason_was_never_asked_through(monkeypatch):
    """A proxy that cannot reach the endpoint counts as a failed connection, since nothing was sent."""
    with HttpProxy(0, refuses_with=503) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)

        error = await _fails("https://models.example/v1")

    assert str(error) == f"the proxy {proxy.address} (HTTPS_PROXY) answered 503 to CONNECT"


async def test_a_socks_proxy_is_refused_before_the_first_call(generate, monkeypatch, stored):
    """A SOCKS proxy is rejected before a job is created."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    with pytest.raises(SettingsError, match="The proxy in ALL_PROXY is a socks5 proxy"):
        await generate(1, recipe=Recipe(model="m", base_url=_ELSEWHERE, turns=2))


async def test_a_password_of_netrc_does_not_take_the_place_of_the_key(provider, generate, monkeypatch, tmp_path):
    """A password in .netrc does not replace the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))

    result = await generate(1, recipe=Recipe(model="m", base_url=provider.base_url, turns=2))

    assert result.counts == ItemCounts(completed=1)
    assert provider.calls[0].headers["Authorization"] == f"Bearer {KEY}"


# -- certificates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_certificate_is_trusted_where_the_environment_says_so(variable, tmp_path, monkeypatch):
    """Either variable makes a certificate trusted; without them the error says how to trust it, and is permanent."""
    certificate = make_certificate(tmp_path)
    with ProviderServer(lambda _: Sent(b"{}"), tls=certificate.server) as provider:
        error = await _fails(provider.base_url)
        monkeypatch.setenv(variable, str(certificate.path))
        reply = await _post(provider.base_url)

    assert str(error).startswith("its certificate is not trusted (self-signed certificate); name the file")
    assert "SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in str(error)
    assert not error.may_retry
    assert reply.status == 200


@pytest.mark.parametrize(
    ("name", "first_day", "last_day", "says"),
    [
        ("other.example", -1, 1, "its certificate is for another name"),
        ("localhost", -9, -2, "its certificate has expired"),
        ("localhost", 2, 9, "its certificate is not valid yet"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_told_apart(name, first_day, last_day, says, tmp_path, monkeypatch):
    """A trusted certificate for another name or another date is reported with its reason."""
    certificate = make_certificate(tmp_path, name, first_day=first_day, last_day=last_day)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    with ProviderServer(tls=certificate.server) as provider:
        error = await _fails(provider.base_url)

    assert str(error).startswith(says)
    assert not error.may_retry


async def test_an_endpoint_without_tls_is_told(provider):
    """The error for an endpoint without TLS suggests an address that begins with http."""
    error = await _fails(provider.base_url.replace("http:", "https:"))

    assert str(error).startswith("it does not speak TLS; correct the base URL")


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), ("no certificate", "holds no certificate")])
def test_a_file_of_certificates_that_cannot_be_used_is_named(content, says, tmp_path, monkeypatch):
    """An unusable file of certificates is named in an error, although OpenSSL would ignore it."""
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    with pytest.raises(SettingsError, match=f"{path} that SSL_CERT_FILE names {says}"):
        HttpClient("https://models.example/v1", {})
    HttpClient("http://models.example/v1", {})


async def test_a_job_whose_endpoint_is_not_trusted_is_paused_at_once(generate, tmp_path, caplog):
    """A job whose endpoint has an untrusted certificate pauses at once, since waiting cannot help."""
    certificate = make_certificate(tmp_path)
    with ProviderServer(tls=certificate.server) as provider, caplog.at_level(logging.DEBUG):
        result = await generate(2, recipe=Recipe(model="m", base_url=provider.base_url, turns=2))

    assert (result.counts, result.pause.code) == (ItemCounts(pending=2), "unreachable")
    assert "SSL_CERT_FILE" in result.pause.message
    assert os.environ["OPENAI_API_KEY"] not in caplog.text


# -- large headers ---------------------------------------------------------------------------------


async def test_a_header_of_thirty_kilobytes_is_read(provider):
    """A response with a header of 30 KB is read."""
    provider.behaviour = lambda _: Status(200, {}, {"X-Report": "r" * 30_000, "Retry-After": "7"})

    reply = await _post(provider.base_url)

    assert (len(reply.headers["x-report"]), reply.headers["retry-after"]) == (30_000, "7")
