"""The local token: only for the user who started the server, and only for this server's own pages."""

import logging

import pytest

from backstay.errors import SettingsError
from backstay.server import ServerSettings
from backstay.server.auth.local_token import LocalToken
from backstay.server.request_limits import AllowedHosts
from support.servers.api import ENOUGH, LOCAL, ORIGIN, bearer, libraries, serving

settings = libraries(ENOUGH)


@pytest.fixture
async def local(settings):
    """An application with a local token, which its client `ann` has."""
    async with serving(settings, local=True) as running:
        yield running


async def _signed_in(local):
    """Return a client that has exchanged the token for a cookie."""
    client = local.anonymous
    answer = await client.get("/", params={"token": LOCAL})
    assert answer.status_code == 303
    client.cookies.update(answer.cookies)
    return client, answer


async def test_the_token_is_exchanged_for_a_cookie(local):
    """The token is exchanged for an HttpOnly, SameSite cookie that is not the token itself."""
    client, answer = await _signed_in(local)

    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {attribute.strip() for attribute in cookie.split(";")}
    assert LOCAL not in cookie
    assert (await client.get("/api/batches")).status_code == 200


async def test_the_token_is_a_bearer_token_too(local):
    """Programs can use the token as a bearer token."""
    assert (await local.ann.get("/api/batches")).status_code == 200
    assert (await local.anonymous.get("/api/batches", headers=bearer(LOCAL + "x"))).status_code == 401


async def test_a_wrong_token_gets_no_cookie(local):
    """A wrong token, or a token at another address, gets no cookie."""
    wrong = await local.anonymous.get("/", params={"token": "wrong"})
    elsewhere = await local.anonymous.get("/api/batches", params={"token": LOCAL})

    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert (elsewhere.status_code, "set-cookie" in elsewhere.headers) == (401, False)


async def test_the_first_page_says_where_the_api_is(local):
    """The home page names the addresses of the API without a token, scripts or external content."""
    page = await local.anonymous.get("/")
    listed = await local.anonymous.get("/docs")

    assert page.status_code == listed.status_code == 200
    assert 'href="/docs"' in page.text
    assert "/api/backup/create" in listed.text
    assert "<script" not in page.text + listed.text
    assert "http" not in page.text.replace("<!doctype html>", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "origin", [None, "https://evil.example", "null", "http://127.0.0.1:9999", ORIGIN + ".evil.example"]
)
async def test_a_cookie_changes_nothing_from_elsewhere(local, origin):
    """A form of another site that is sent with the cookie is refused."""
    client, _ = await _signed_in(local)
    headers = {} if origin is None else {"Origin": origin}

    answer = await client.post("/api/batches/j/cancel", headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_refused")


async def test_the_local_cookie_works_on_no_other_origin(settings):
    """A page that may call the API with the token gets nothing with the cookie alone."""
    async with serving(settings, local=True, cors_origins=("http://localhost:3000",)) as local:
        client, _ = await _signed_in(local)
        with_cookie = await client.get("/api/batches", headers={"Origin": "http://localhost:3000"})
        with_token = await client.get("/api/batches", headers={"Origin": "http://localhost:3000", **bearer(LOCAL)})

    assert (with_cookie.status_code, with_token.status_code) == (403, 200)


async def test_a_cookie_changes_things_from_our_own_page(local):
    """Control: the same request from the server's own page succeeds."""
    client, _ = await _signed_in(local)

    answer = await client.post("/api/batches/j/cancel", headers={"Origin": ORIGIN})

    assert answer.status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8717", ""])
async def test_other_names_of_the_server_are_refused(local, host):
    """Requests under another host name are refused, because a hostile page can resolve its name to this machine."""
    await _check_that_a_host_is_refused(local, host)


async def test_control_without_names_of_hosts_a_page_elsewhere_gets_through(settings, monkeypatch):
    """If host names are not checked, a request under a hostile name is answered."""

    async def through(self, scope, receive, send):
        await self._app(scope, receive, send)

    monkeypatch.setattr(AllowedHosts, "__call__", through)
    async with serving(settings, local=True) as local:
        with pytest.raises(AssertionError, match=r"^200 "):
            await _check_that_a_host_is_refused(local, "evil.example")


async def _check_that_a_host_is_refused(local, host):
    answer = await local.ann.get("/api/batches", headers={"Host": host})
    assert answer.status_code == 421, f"{answer.status_code} {answer.text}"
    assert answer.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["127.0.0.1:8717", "localhost", "LOCALHOST:1", "[::1]:8717"])
async def test_names_of_this_machine_are_taken(local, host):
    """The host names of loopback are accepted with any port."""
    assert (await local.ann.get("/api/batches", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "cookie", ["{name}=x", "{name}=" + LOCAL, "{name}", "backstay-8717={value}", "=;;=", "a" * 9_000]
)
async def test_made_up_cookies_are_refused(local, cookie):
    """Forged, malformed or differently named cookies are refused, and so is the token as a cookie."""
    own = local.state.local
    header = cookie.format(name=own.cookie_name, value=own.cookie_value)

    assert (await local.anonymous.get("/api/batches", headers={"Cookie": header})).status_code == 401


async def test_the_token_is_never_logged(local, caplog):
    """No request with the token writes it to the log."""
    caplog.set_level(logging.DEBUG)
    await _signed_in(local)
    await local.anonymous.get("/", params={"token": LOCAL + "x"})
    await local.ann.get("/api/batches/none", params={"token": LOCAL})

    records = [record for record in caplog.records if record.name.startswith("backstay")]
    assert len(records) >= 3
    assert all(LOCAL not in f"{record.__dict__}" for record in records)


def test_cookies_of_other_databases_are_kept_up_to_a_number():
    """Signing in keeps the latest cookies of other databases at this port, and deletes older ones."""
    names = [LocalToken(owner="o", port=1, token=f"{LOCAL}{number}").cookie_name for number in range(7)]
    local = LocalToken(owner="o", port=1, token=f"{LOCAL}6")
    elsewhere = LocalToken(owner="o", port=2, token=LOCAL).cookie_name

    assert local.former_cookies([elsewhere, *names]) == names[:2]
    assert local.former_cookies([elsewhere, *names[2:]]) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_local_token_is_for_loopback_only(host):
    """A local token is refused for an address that other machines can reach."""
    with pytest.raises(SettingsError) as caught:
        ServerSettings(host=host).check()

    assert "BACKSTAY_JWT_SECRET" in caught.value.message
