"""Other servers of the same host: browsers send them the cookie, because cookies ignore ports."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backstay.server.auth import authentication
from support.browser.pages import come_in
from support.servers.api import KINDS, cookied, library, served, serving

_NAME = "backstay.localhost"
_JOB = {"jobId": "waiting", "items": [{"topic": "x"}], "processor": "scripted", "start": False}


@contextmanager
def _neighbour(form_action):
    """Serve a page at another port with a form to this address; yield its port and the received cookies."""
    page = (
        f"<form method=post action='{form_action}'><input name=id value=waiting>"
        "<button name=action value=cancel>Go</button></form>"
    )
    cookies = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            cookies.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield running.server_address[1], cookies
        finally:
            running.shutdown()


def _origins(server):
    """Yield the names of a server for a browser: the printed one, and one that other programs lack."""
    return {"127.0.0.1": server.url, _NAME: f"http://{_NAME}:{server.port}"}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("name", "is_seen"), [("127.0.0.1", True), (_NAME, False)])
async def test_a_page_at_another_port_changes_nothing(browser, tmp_path, name, is_seen):
    """A form from another port has the cookie but is refused by its origin; another host name withholds the cookie."""
    with served(tmp_path, f'allowed_hosts = ["{_NAME}"]\n') as server:
        server.client.post("/api/batches", json=_JOB).raise_for_status()
        own = _origins(server)[name]
        context = await browser.new_context()
        try:
            page = await context.new_page()
            await page.goto(f"{own}/?token={server.token}")
            await page.get_by_role("heading", name="Batches", exact=True).wait_for()
            with _neighbour(f"{own}/batches/act") as (port, cookies):
                await page.goto(f"http://127.0.0.1:{port}/")
                async with page.expect_response(f"{own}/batches/act") as answered:
                    await page.get_by_role("button", name="Go").click()
                status = (await answered.value).status
        finally:
            await context.close()
        state = server.client.get("/api/batches/waiting").json()["state"]

    assert any(f"backstay-{server.port}-" in cookie for cookie in cookies) == is_seen
    assert (status, state) == (403 if is_seen else 401, "pending")


@pytest.mark.asyncio(loop_scope="session")
async def test_two_servers_of_one_host_let_the_same_browser_in(browser, tmp_path):
    """Two servers of a host do not sign each other out, nor does one that is started again."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    context = await browser.new_context()
    try:
        page = await context.new_page()
        with served(folders[0]) as first:
            with served(folders[1]) as second:
                await come_in(page, first)
                await come_in(page, second)
                statuses = [(await page.goto(f"{server.url}/backups")).status for server in (first, second)]
            before = {cookie["name"] for cookie in await context.cookies()}
            with served(folders[1], port=second.port) as again:
                statuses += [(await page.goto(f"{server.url}/backups")).status for server in (first, again)]
                await come_in(page, again)
                after = {cookie["name"] for cookie in await context.cookies()}
    finally:
        await context.close()

    assert statuses == [200] * 4
    assert (len(before), after) == (2, before)


@pytest.mark.parametrize(("is_checked", "status"), [(True, 403), (False, 303)])
async def test_a_cookie_speaks_for_the_port_of_its_page_only(tmp_path, monkeypatch, is_checked, status):
    """A form from another port changes data only if origins are not checked."""
    if not is_checked:
        monkeypatch.setattr(authentication, "refuse_other_origins", lambda *_: None)
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True) as running, cookied(running, Origin="http://127.0.0.1:9999") as client:
            (await running.ann.post("/api/batches", json=_JOB)).raise_for_status()
            answer = await client.post("/batches/act", data={"id": "waiting", "action": "cancel"})

    assert answer.status_code == status
