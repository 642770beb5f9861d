"""Signing in at the pages with a token of an app: by a page of the app, from another origin and from another site."""

import signal
import time
from contextlib import asynccontextmanager

import pytest

from support.browser import axe
from support.browser.pages import SETTINGS, prepared
from support.servers.api import ANN, BOB, bearer, served, token_of
from support.servers.site import other_site

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SAME_SITE, _OTHER_SITE = "127.0.0.1", "localhost"
"""Host names of the app: at another port, it is another origin; under another name, another site."""
_SHOW_SESSION = "(url) => fetch(`${url}/api/session`, { credentials: 'include' }).then((answer) => answer.json())"
_APP = """<!doctype html><html lang="en"><title>App</title>
<resume-dialog></resume-dialog><batch-summary job-id="topics"></batch-summary><p id="shown"></p>
<script type="module">
import * as backstay from "SERVER/static/backstay.js";
backstay.configure({ api: "SERVER" });
Object.assign(window, backstay);
if ("TOKEN") window.signedIn = signIn("TOKEN");
document.querySelector("#shown").textContent = "ready";
</script></html>"""


@pytest.fixture(scope="module")
def site():
    """The app."""
    with other_site() as running:
        yield running


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    """A server for the users of the app, with a batch of Ann's that is complete and one that is not started."""
    with served(prepared(tmp_path_factory.mktemp("signing")), _settings(site), jwt_mode=True) as running:
        for name, start in (("topics", True), ("waiting", False)):
            body = {"jobId": name, "items": [{"topic": "x"}], "processor": "scripted", "start": start}
            running.client.post("/api/batches", json=body).raise_for_status()
        running.wait_for(lambda: running.client.get("/api/batches/topics").json()["state"] == "completed")
        yield running


def _settings(site, same_site="strict"):
    origins = ", ".join(f'"{site.origin(host)}"' for host in (_SAME_SITE, _OTHER_SITE))
    return (
        f'{SETTINGS}cors_origins = [{origins}]\nsign_in_url = "{site.origin(_OTHER_SITE)}/login"\n'
        f'cookie_same_site = "{same_site}"\n'
    )


@asynccontextmanager
async def _context(browser, **options):
    context = await browser.new_context(locale="en-GB", **options)
    try:
        context.set_default_timeout(30_000)
        yield context
    finally:
        await context.close()


@asynccontextmanager
async def _app(browser, server, site, host=_SAME_SITE, token="", **options):
    """Yield a page of the app of a server, which signs in with a token, if there is one."""
    site.content = _APP.replace("SERVER", server.url).replace("TOKEN", token)
    async with _context(browser, **options) as context:
        page = await context.new_page()
        await page.goto(f"{site.origin(host)}/")
        await page.get_by_text("ready").wait_for()
        yield page


def _sign_in(page, token=None):
    return page.evaluate("(token) => signIn(token)", token or token_of())


@pytest.mark.parametrize(("host", "has_cookie"), [(_SAME_SITE, True), (_OTHER_SITE, False)])
async def test_a_page_of_the_app_signs_in(browser, server, site, host, has_cookie):
    """Elements on the app's page work with its token, and the page opens Backstay's pages, from any site."""
    async with _app(browser, server, site, host, token=token_of()) as page:
        session = await page.evaluate("signedIn")
        await page.get_by_text("Completed: 100% of 1 item.").wait_for()
        await page.evaluate("openPage('/batches/one?id=topics')")
        await page.wait_for_url(f"{server.url}/batches/one?id=topics")
        await page.get_by_text("Completed: 100% of 1 item.").wait_for()
        await page.get_by_role("link", name="Show conversations").click()
        await page.get_by_role("heading", name="Conversations").wait_for()
        script = await page.evaluate("document.cookie")

    assert (session["owner"], session["hasCookie"]) == (ANN, has_cookie)
    assert script == ""


async def test_pages_and_elements_work_with_the_cookie_alone(browser, server, site):
    """At the same site, one call of signIn opens the pages, and elements of later pages need no token."""
    async with _app(browser, server, site) as page:
        await _sign_in(page)
        await page.goto(f"{server.url}/batches")
        await page.get_by_role("dialog", name="A batch is not finished").wait_for()
        await page.goto(f"{site.origin()}/")
        await page.get_by_role("dialog", name="A batch is not finished").wait_for()
        await page.get_by_role("button", name="Later").click()
        status = await page.evaluate(
            "(url) => fetch(`${url}/api/batches/topics/pause`, { method: 'POST', credentials: 'include' })"
            ".then((answer) => answer.status)",
            server.url,
        )

    assert status == 409


@pytest.mark.parametrize(("same_site", "is_open"), [("strict", False), ("lax", True)])
async def test_a_link_of_another_site(browser, tmp_path, site, same_site, is_open):
    """A link of another site opens the page signed in with `lax`; with `strict`, one more click does."""
    with served(prepared(tmp_path), _settings(site, same_site), jwt_mode=True) as server:
        async with _app(browser, server, site, _OTHER_SITE) as page:
            await _sign_in(page)
            await page.evaluate("openPage()")
            await page.get_by_role("heading", name="Batches", exact=True).wait_for()
            await page.goto(f"{site.origin(_OTHER_SITE)}/")
            async with page.expect_navigation(url=f"{server.url}/**") as opened:
                await page.evaluate("(url) => { window.location.href = url; }", f"{server.url}/backups")
            status = (await opened.value).status
            if not is_open:
                await page.get_by_role("link", name="Open the page again").click()
            await page.get_by_role("heading", name="Backups", exact=True).wait_for()

    assert status == (200 if is_open else 401)


async def test_a_form_of_any_other_page_changes_nothing(browser, server, site):
    """A form of another port of the host gets the cookie but changes nothing, nor does it sign anyone in."""
    with other_site() as stranger:
        stranger.content = (
            f"<form method=post action='{server.url}/batches/act'><input name=id value=waiting>"
            "<button name=action value=cancel>Cancel</button></form>"
            f"<form method=post action='{server.url}/sign-in'><input name=token value='{token_of(BOB)}'>"
            "<button>Sign in</button></form>"
        )
        async with _app(browser, server, site) as page:
            await _sign_in(page)
            statuses, cookies = [], []
            for name in ("Cancel", "Sign in"):
                await page.goto(stranger.origin())
                async with page.expect_response(f"{server.url}/**") as answered:
                    await page.get_by_role("button", name=name).click()
                answer = await answered.value
                statuses.append(answer.status)
                cookies.append("backstay-" in (await answer.request.all_headers()).get("cookie", ""))
            await page.goto(f"{server.url}/batches")
            owner = (await page.evaluate("fetch('/api/session').then((answer) => answer.json())"))["owner"]

    assert (statuses, cookies, owner) == ([403, 403], [True, True], ANN)
    assert server.client.get("/api/batches/waiting").json()["state"] == "pending"


@pytest.mark.parametrize("token", ["not a token", token_of(exp=int(time.time()) - 60), token_of(aud="other")])
async def test_a_bad_token_is_one_error(browser, server, site, token):
    """signIn rejects a token that is not valid, with the server's message, and leaves no cookie."""
    async with _app(browser, server, site) as page:
        failure = await page.evaluate(
            "(token) => signIn(token).catch((error) => `${error.status} ${error.message}`)", token
        )
        nothing = await page.evaluate("signIn().catch((error) => error.message)")
        cookies = await page.context.cookies()

    assert failure == "401 This address needs a valid token"
    assert nothing == "signIn needs a token, or a function that returns one."
    assert cookies == []


async def test_signing_out(browser, server, site):
    """The button signs out on all pages of the browser, each of which says so with a link to the app."""
    async with _app(browser, server, site) as page:
        await _sign_in(page)
        await page.goto(f"{server.url}/backups")
        other = await page.context.new_page()
        await other.goto(f"{server.url}/batches")
        await other.get_by_role("button", name="Later").click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_text("You are signed out.").wait_for()
        await other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await other.get_by_text("You are signed out. Sign in, then this page continues.").wait_for()
        link = await other.get_by_role("link", name="Sign in").get_attribute("href")
        status = (await page.goto(f"{server.url}/backups")).status

    assert link == f"{site.origin(_OTHER_SITE)}/login?next=%2Fbatches"
    assert status == 401


async def test_an_app_signs_out(browser, server, site):
    """signOut of the app, also at another site, ends the sessions of the pages."""
    async with _app(browser, server, site, _OTHER_SITE) as page:
        await _sign_in(page)
        other = await page.context.new_page()
        await other.goto(f"{site.origin(_OTHER_SITE)}/")
        await other.get_by_text("ready").wait_for()
        await _sign_in(other)
        await other.evaluate("openPage('/backups')")
        await other.get_by_role("heading", name="Backups", exact=True).wait_for()
        await page.evaluate("signOut()")
        status = (await other.reload()).status
        again = await page.evaluate("signOut()")

    assert (status, again) == (401, None)


async def test_an_expired_session_is_reported_and_renewed(browser, server, site):
    """When a session ends, the open page says so; it continues once the app has signed in again."""
    async with _app(browser, server, site) as app:
        for seconds in (3, 6, 12, 24):  # on a busy machine, the token may expire before the page is open
            await app.evaluate("(token) => signIn(token).catch(() => {})", token_of(exp=int(time.time()) + seconds))
            page = await app.context.new_page()
            if (await page.goto(f"{server.url}/backups")).status == 200:
                break
        await page.get_by_text("You are signed out. Sign in, then this page continues.").wait_for()
        violations = await axe.violations(page)
        await _sign_in(app)
        await page.get_by_text("You are signed out.").wait_for(state="hidden")
        status = (await page.reload()).status

    assert (violations, status) == ([], 200)


async def test_a_function_renews_the_session(browser, server, site):
    """A token source is asked again before the session ends, so that it lasts as long as there are new tokens."""
    async with _app(browser, server, site) as page:
        await page.clock.install()
        tokens = [token_of(exp=int(time.time()) + seconds) for seconds in (600, 1_200)]
        first = await page.evaluate("(tokens) => signIn(async () => tokens.shift() ?? null)", tokens)
        async with page.expect_response(f"{server.url}/api/session") as renewed:
            await page.clock.fast_forward(301_000)
        second = await (await renewed.value).json()
        session = await page.evaluate(_SHOW_SESSION, server.url)

    assert first["endsAt"] < second["endsAt"]
    assert second["endsAt"][:19] == session["endsAt"][:19]


async def test_a_reload_after_a_crash_is_signed_in(browser, tmp_path, site):
    """After the server was killed and started again, the open page reloads, signed in, and offers to resume."""
    settings = _settings(site)
    with served(prepared(tmp_path), settings, jwt_mode=True) as server:
        body = {"jobId": "boats", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
        server.client.post("/api/batches", json=body).raise_for_status()
        async with _app(browser, server, site) as page:
            await _sign_in(page)
            await page.goto(f"{server.url}/batches")
            server.stop(signal.SIGKILL)
            with served(tmp_path, settings, jwt_mode=True, port=server.port):
                await page.reload()
                await page.get_by_role("dialog", name="A batch is not finished").wait_for()
                await page.get_by_role("button", name="Resume", exact=True).click()
                await page.get_by_text("Completed: 100% of 1 item.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_280])
async def test_axe_finds_nothing(browser, server, site, scheme, width):
    """Pages of users who are signed in, signed out or refused have no violations, and fit a phone."""
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 844}, "reduced_motion": "reduce"}
    found, is_wider = {}, {}
    async with _app(browser, server, site, **options) as page:
        await _sign_in(page)
        for name, address in (("in", "/backups"), ("home", "/"), ("out", "/conversations?search=x"), ("none", "/docs")):
            if name == "home":
                await page.context.clear_cookies()
            await page.goto(f"{server.url}{address}")
            found[name] = await axe.violations(page)
            is_wider[name] = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        await page.goto(f"{site.origin()}/")
        await page.evaluate(
            "(action) => { document.body.innerHTML = `<form method=post action='${action}'><input name=token value=x>`;"
            " document.forms[0].submit(); }",
            f"{server.url}/sign-in",
        )
        await page.get_by_text("The app's token is not valid, or it has expired.").wait_for()
        found["refused"] = await axe.violations(page)

    assert {name: violations for name, violations in found.items() if violations} == {}
    assert not [name for name, wide in is_wider.items() if wide]


async def test_programs_with_a_token_are_as_before(server):
    """A bearer token needs no session, and another owner's does not see the batch."""
    assert server.client.get("/api/batches/topics").status_code == 200
    assert server.client.get("/api/batches/topics", headers=bearer(token_of(BOB))).status_code == 404
