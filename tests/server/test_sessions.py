"""Browser sessions: a cookie from a JSON Web Token, for the pages of its owner."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from backstay.server.auth import authentication
from backstay.server.events import hub
from backstay.server.settings import ServerSettings
from server.test_tokens import HOSTILE
from support.harness.async_waiting import until
from support.servers.api import ANN, BOB, ENOUGH, ORIGIN, bearer, libraries, serving, token_of
from support.servers.event_listener import parsed
from support.servers.route_requests import PAGES

settings = libraries(ENOUGH)
_APP = "https://app.example"
_SECOND = timedelta(seconds=1)
_JOB = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted", "start": False}


@asynccontextmanager
async def _browser(api, token=None, **headers):
    """Yield a client that sends cookies and no token; with a token, it has signed in."""
    transport = httpx.ASGITransport(app=api.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"Origin": ORIGIN, **headers}) as client:
        if token is not None:
            (await client.post("/api/session", headers=bearer(token))).raise_for_status()
        yield client


async def test_a_token_is_exchanged_for_a_cookie(api):
    """A valid token opens the pages through a cookie that scripts cannot read and that holds nothing of the token."""
    token = token_of(exp=int(time.time()) + 600)
    async with _browser(api) as browser:
        answer = await browser.post("/api/session", headers=bearer(token))
        page, session = await browser.get("/batches"), (await browser.get("/api/session")).json()

    cookie = answer.headers["set-cookie"]
    name, _, attributes = cookie.partition("=")
    assert name == "backstay-8717"
    assert {part.strip() for part in attributes.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=strict"}
    assert len(attributes.partition(";")[0]) == 43
    assert answer.json() == session | {"endsAt": answer.json()["endsAt"]}
    assert (session["owner"], session["hasCookie"]) == (ANN, True)
    assert page.status_code == 200
    assert "Sign out" in page.text


@pytest.mark.parametrize(
    ("headers", "root", "name"),
    [
        ({"Host": "backstay.example", "Sec-Fetch-Site": "same-site"}, "", "__Host-backstay"),
        ({"Host": "backstay.example", "Sec-Fetch-Site": "same-site"}, "/b", "__Secure-backstay"),
        ({"Host": "backstay.example"}, "", "backstay"),
        ({"Host": "backstay.localhost:1", "Sec-Fetch-Site": "same-site"}, "", "backstay-1"),
        ({"Host": "[::1]:1", "Sec-Fetch-Site": "same-site"}, "", "backstay-1"),
    ],
)
async def test_over_https_the_cookie_is_secure(api, headers, root, name):
    """Over https, also through a proxy that the server does not know, the cookie is secure and bound to its host."""
    transport = httpx.ASGITransport(app=api.app, root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        answer = await client.post(f"{root}/api/session", headers={**bearer(token_of()), **headers})

    set_name, _, attributes = answer.headers["set-cookie"].partition("=")
    assert set_name == name
    assert ("Secure" in attributes) == name.startswith("__")
    assert f"Path={root}/" in attributes
    assert "Domain" not in attributes


async def test_a_hostile_token_opens_no_session(api):
    """Every hostile token gets the same 401 and no cookie, in the API and in the form."""
    async with _browser(api) as browser:
        for name, headers in HOSTILE.items():
            answer = await browser.post("/api/session", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), name
            assert "set-cookie" not in answer.headers, name
        for name in ("not a token", "alg none", "another secret", "expired", "another aud", "longer than any"):
            token = HOSTILE[name]["Authorization"].removeprefix("Bearer ")
            page = await browser.post("/sign-in", data={"token": token}, headers={"Accept": "text/html"})
            assert (page.status_code, "token is not valid, or it has expired" in page.text) == (401, True), name
            assert "set-cookie" not in page.headers, name
        assert not browser.cookies


async def test_a_token_within_the_leeway_opens_no_session(api):
    """A token that expired a moment ago is still a bearer token, but a session would have ended already."""
    token = token_of(exp=int(time.time()) - 10)
    async with _browser(api) as browser:
        answer = await browser.post("/api/session", headers=bearer(token))

    assert (await api.anonymous.get("/api/batches", headers=bearer(token))).status_code == 200
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


async def test_a_session_lasts_no_longer_than_its_token(api):
    """A session ends at the token's `exp`, and after thirty days at the latest, however far `exp` is."""
    async with _browser(api) as browser:
        for exp, least in ((int(time.time()) + 600, 590), (2**53, 29 * 86_400)):
            await browser.post("/api/session", headers=bearer(token_of(exp=exp)))
            session = await api.state.authenticator.sessions.find(next(iter(browser.cookies.values())))
            ends_at = session.ends_at.timestamp()

            assert time.time() + least < ends_at <= min(exp, time.time() + 30 * 86_400) + 0.1


async def test_an_expired_session_is_signed_out(api):
    """A page with an ended session says so, with the way back that the settings name."""
    async with _browser(api, token_of()) as browser:
        await api.state.authenticator.sessions.renew(ANN, next(iter(browser.cookies.values())), -_SECOND)
        page = await browser.get("/batches")
        answer = await browser.get("/api/session")

    assert (page.status_code, answer.status_code) == (401, 401)
    assert "You are signed out" in page.text


async def test_the_way_back_names_the_page(settings):
    """The link to the app's sign-in carries the page that was asked for; other links do not."""
    async with serving(settings, sign_in_url="https://app.example/login?from=backstay") as api:
        page = await api.anonymous.get("/conversations?search=a%20b&job=x", headers={"Accept": "text/html"})
        home = await api.anonymous.get("/")

    link = "https://app.example/login?from=backstay"
    assert f'href="{link}&amp;next=%2Fconversations%3Fsearch%3Da%2520b%26job%3Dx"' in page.text
    assert f'href="{link}"' in home.text


async def test_signing_in_again_renews_the_session(api):
    """A newer token renews the session under the same cookie; one of another owner opens a session of theirs."""
    sessions = api.state.authenticator.sessions
    async with _browser(api, token_of(exp=int(time.time()) + 60)) as browser:
        secret = next(iter(browser.cookies.values()))
        before = await sessions.find(secret)
        renewed = await browser.post("/api/session", headers=bearer(token_of(exp=int(time.time()) + 600)))
        after = await sessions.find(secret)
        await browser.post("/api/session", headers=bearer(token_of(BOB)))
        switched = (await browser.get("/api/session")).json()

    assert "set-cookie" not in renewed.headers
    assert (after.ends_at - before.ends_at).total_seconds() == pytest.approx(540, abs=2)
    assert switched["owner"] == BOB
    assert await sessions.find(secret) is None


async def test_signing_out_ends_the_session(api):
    """After signing out, the cookie is gone from the browser, and a copy of it is worth nothing."""
    async with _browser(api, token_of()) as browser, _browser(api, token_of()) as other:
        copy = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        answer = await browser.post("/sign-out")
        stolen = await api.anonymous.get("/batches", headers={"Cookie": copy})
        cookies, others = dict(browser.cookies), await other.get("/batches")

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (cookies, stolen.status_code, others.status_code) == ({}, 401, 200)


async def test_a_new_secret_of_the_issuer_ends_sessions(settings):
    """When the secret that verifies tokens is replaced, sessions opened before it are no longer valid."""
    async with serving(settings) as api, _browser(api, token_of()) as browser:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        before = await api.anonymous.get("/api/batches", headers={"Cookie": cookie})
    async with serving(settings, jwt_secret="x" * 40) as api:
        after = await api.anonymous.get("/api/batches", headers={"Cookie": cookie})

    assert (before.status_code, after.status_code) == (200, 401)


async def test_an_app_signs_out_everywhere(api):
    """With a bearer token, all sessions of its owner end, and no one else's."""
    async with (
        _browser(api, token_of()) as first,
        _browser(api, token_of()) as second,
        _browser(api, token_of(BOB)) as bob,
    ):
        answer = await api.ann.delete("/api/session")
        statuses = [(await browser.get("/batches")).status_code for browser in (first, second, bob)]

    assert (answer.status_code, statuses) == (204, [401, 401, 200])


async def test_a_bearer_token_wins_over_a_cookie(api):
    """A request with both is the token's; an invalid token is refused although the cookie is valid."""
    async with _browser(api, token_of()) as browser:
        both = await browser.get("/api/session", headers=bearer(token_of(BOB)))
        wrong = await browser.get("/api/session", headers=HOSTILE["another secret"])

    assert both.json()["owner"] == BOB
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("origin", "site", "is_allowed"),
    [
        (ORIGIN, None, True),
        (_APP, None, True),
        ("https://127.0.0.1:8717", "same-origin", True),  # behind a proxy that ends TLS
        (None, None, False),
        ("null", None, False),
        ("https://evil.example", "cross-site", False),
        ("http://127.0.0.1:9999", "same-site", False),
        (f"{_APP}.evil.example", None, False),
    ],
)
async def test_a_cookie_works_on_trusted_pages_only(settings, origin, site, is_allowed):
    """A change with the cookie succeeds from the server's own pages and from the origins that the settings name."""
    assert await _status_of_change(settings, origin, site) == (201 if is_allowed else 403)


async def test_control_without_the_check_any_page_changes_data(settings, monkeypatch):
    """If origins are not checked, a page of another site changes data with the cookie."""
    monkeypatch.setattr(authentication, "refuse_other_origins", lambda *_: None)

    assert await _status_of_change(settings, "https://evil.example", "cross-site") == 201


async def _status_of_change(settings, origin, site):
    headers = {name: value for name, value in (("Origin", origin), ("Sec-Fetch-Site", site)) if value is not None}
    async with serving(settings, cors_origins=(_APP,)) as api, _browser(api, token_of()) as browser:
        del browser.headers["Origin"]
        return (await browser.post("/api/batches", json=_JOB, headers=headers)).status_code


async def test_other_origins_read_nothing_with_a_cookie(settings):
    """A page of an origin that the settings do not name gets no data and no permission to read any."""
    async with serving(settings, cors_origins=(_APP,)) as api, _browser(api, token_of()) as browser:
        trusted = await browser.get("/api/batches", headers={"Origin": _APP})
        other = await browser.get("/api/batches", headers={"Origin": "https://evil.example"})

    assert (trusted.status_code, other.status_code) == (200, 403)
    assert trusted.headers["access-control-allow-origin"] == _APP
    assert trusted.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers


async def test_a_page_of_another_site_gets_no_cookie(api):
    """A request of another site gets no session, because its browser would drop the cookie; the response says so."""
    answer = await api.ann.post("/api/session", headers={"Sec-Fetch-Site": "cross-site"})

    assert (answer.json()["hasCookie"], "set-cookie" in answer.headers) == (False, False)


async def test_a_form_signs_in_from_another_site(settings):
    """A form of a trusted origin signs in and leads to its page; one of another origin is refused."""
    async with serving(settings, cors_origins=(_APP,), cookie_same_site="lax") as api:
        form = {"token": token_of(), "page": "/batches/one?id=a%20b"}
        signed_in = await api.anonymous.post("/sign-in", data=form, headers={"Origin": _APP})
        statuses = [
            (await api.anonymous.post("/sign-in", data=form, headers=headers)).status_code
            for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"})
        ]

    assert signed_in.status_code == 200
    assert 'content="0; url=/batches/one?id=a%20b"' in signed_in.text
    assert "SameSite=lax" in signed_in.headers["set-cookie"]
    assert statuses == [403, 403, 403]


@pytest.mark.parametrize(
    "page", ["https://evil.example/", "//evil.example", "/\\evil.example", "/api/batches", "batches"]
)
async def test_a_form_leads_to_pages_only(api, page):
    """A form that names anything but a page of the server is refused before anyone is signed in."""
    answer = await api.anonymous.post("/sign-in", data={"token": token_of(), "page": page}, headers={"Origin": ORIGIN})

    assert (answer.status_code, "set-cookie" in answer.headers) == (422, False)


async def test_a_large_form_is_not_read(api):
    """A form that is larger than any token is refused before its token is verified."""
    answer = await api.anonymous.post("/sign-in", data={"token": "a" * 40_000}, headers={"Origin": ORIGIN})

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_pages_show_their_owners_data_only(api):
    """On every page, data of others looks like missing data, also a file that waits for its columns."""
    (conversation,) = await api.made(1, job_id="anns")
    backup = (await api.ann.post("/api/backup/create", json={"conversationIds": [conversation]})).json()["backupId"]
    async with _browser(api, token_of()) as ann, _browser(api, token_of(BOB)) as bob:
        uploaded = await ann.post("/batches/upload", files={"file": ("t.csv", b"topic\nx\n")})
        new = uploaded.headers["location"]
        addresses = [
            new, "/batches/one?id=anns", "/batches/cancel?id=anns", "/batches/discard?id=anns",
            "/batches/resume?id=anns", "/batches/recipe?id=anns", "/batches/item?id=anns&item=i0",
            f"/conversations/one?id={conversation}", f"/conversations/edit?id={conversation}",
            f"/conversations/history?id={conversation}", f"/backups/one?id={backup}", f"/backups/restore?id={backup}",
            f"/backups/remove?id={backup}",
        ]  # fmt: skip
        own = [(await ann.get(address)).status_code for address in addresses]
        foreign = [(await bob.get(address)).status_code for address in addresses]
        started = await bob.post(
            "/batches/start",
            data={"file": new.partition("file=")[2], "jobId": "stolen", "writer": "processor:scripted"},
        )
        lists = [(await bob.get(address)).text for address in ("/batches", "/conversations", "/backups?every=true")]

    assert {address.partition("?")[0] for address in addresses} | {"/batches", "/conversations", "/backups"} >= {
        page.partition(" ")[2] for page in PAGES if page.startswith("GET") and page != "GET /conversations/import"
    }
    assert own == [200] * len(addresses)
    assert foreign == [404] * len(addresses)
    assert started.status_code == 404
    assert not [text for text in lists if "anns" in text or conversation in text or backup in text]


async def test_a_judgement_of_another_owner_is_not_shown(api):
    """A page whose address names a conversation of another owner as the one judged last shows nothing of it."""
    (anns,) = await api.made(1, job_id="anns")
    await api.ann.patch(f"/api/conversations/{anns}", json={"status": "rejected"})
    row = b'{"id": "bobs", "topic": "T", "messages": [{"role": "user", "content": "Hi"}]}'
    await api.bob.post("/api/conversations/import", files={"file": ("b.jsonl", row)})
    async with _browser(api, token_of(BOB)) as bob, _browser(api, token_of()) as ann:
        pages = [
            await browser.get("/conversations/one", params={"id": shown, "judged": anns, "was": "kept-0"})
            for browser, shown in ((bob, "bobs"), (ann, anns))
        ]

    assert [page.status_code for page in pages] == [200, 200]
    assert ["review-undo" in page.text for page in pages] == [False, True]
    assert anns not in pages[0].text


async def test_a_stream_ends_with_its_session(api, monkeypatch):
    """A stream that a cookie opened ends soon after its session has ended, and those of other sessions continue."""
    monkeypatch.setattr(hub, "_SESSION_CHECK_SECONDS", 0.05)
    await api.ann.post("/api/batches", json=_JOB)
    async with _browser(api, token_of()) as browser, _browser(api, token_of()) as other:
        ending, going_on = (asyncio.create_task(client.get("/api/batches/j/events")) for client in (browser, other))
        await until(lambda: api.state.hub.listener_count == 2)
        await browser.post("/sign-out")
        received = list(parsed(iter((await ending).text.split("\n"))))
        assert not going_on.done()
        await api.ann.post("/api/batches/j/cancel")
        assert '"cancelled"' in (await going_on).text

    assert [event.name for event in received] == ["progress", "state"]


async def test_a_renewed_session_keeps_its_streams(api, monkeypatch):
    """A stream continues beyond the first end of its session if the session has been renewed."""
    monkeypatch.setattr(hub, "_SESSION_CHECK_SECONDS", 0.05)
    await api.ann.post("/api/batches", json=_JOB)
    async with _browser(api, token_of()) as browser:
        secret = next(iter(browser.cookies.values()))
        await api.state.authenticator.sessions.renew(ANN, secret, 2 * _SECOND)
        first_end = (await api.state.authenticator.sessions.find(secret)).ends_at.timestamp()
        going_on = asyncio.create_task(browser.get("/api/batches/j/events"))
        await until(lambda: api.state.hub.listener_count == 1)
        await browser.post("/api/session", headers=bearer(token_of()))
        await until(lambda: time.time() > first_end + 0.1)
        assert not going_on.done()
        await api.ann.post("/api/batches/j/cancel")
        assert '"cancelled"' in (await going_on).text


@pytest.mark.parametrize("value", ["none", "Strict", ""])
def test_a_wrong_same_site_is_refused(value):
    """Only `strict` and `lax` are accepted for the cookie."""
    with pytest.raises(ValueError, match="cookie_same_site"):
        ServerSettings(cookie_same_site=value)
