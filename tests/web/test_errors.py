"""Errors are pages for browsers and JSON for programs."""

import pytest

from backstay.server.web import batches
from support.servers.api import KINDS, cookied, library, serving

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NAVIGATION = {**HTML, "Sec-Fetch-Mode": "navigate"}
_LARGE = {"content": b"x" * 2_000}

_WRONG = [
    ("GET", "/nosuch", {}, 404, "This page does not exist."),
    ("GET", "/batches/nosuch", {}, 404, "This page does not exist."),
    ("GET", "/batches/one?id=none", {}, 404, "not found"),
    ("GET", "/batches/start", {}, 405, "Start on that page"),
    ("DELETE", "/batches", {}, 405, "Start on that page"),
    ("POST", "/docs", {}, 405, "Start on that page"),
    ("POST", "/batches/act", _LARGE, 413, "1,000 bytes"),
    ("POST", "/nosuch", _LARGE, 413, "1,000 bytes"),
    ("GET", "/batches/one", {}, 422, "id: "),
    ("GET", "/conversations?createdBefore=soon", {}, 422, "createdBefore: "),
    ("GET", "/conversations?deletedWithoutBackup=All+is+well", {}, 422, "deletedWithoutBackup: "),
    ("GET", "/batches", {}, 500, "Unexpected error in Backstay"),
    ("GET", "/api/backup/download/none", {"headers": NAVIGATION}, 404, "not found"),
]


@pytest.fixture
async def local(tmp_path, monkeypatch):
    """An application whose list of batches fails with an unexpected error."""

    def fail_unexpectedly(*_):
        raise RuntimeError

    monkeypatch.setattr(batches.JobsOut, "from_page", fail_unexpectedly)
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True, body_bytes=1_000) as running:
            yield running


def _is_page(answer):
    return answer.headers["content-type"].startswith("text/html") and "<header" in answer.text


async def test_a_browser_gets_errors_as_pages(local):
    """A browser gets every error as a page with the same status as programs get."""
    async with cookied(local, **HTML) as browser:
        for method, path, more, status, text in _WRONG:
            answer = await browser.request(method, path, **more)

            assert (answer.status_code, _is_page(answer)) == (status, True), (path, answer.text)
            assert text in answer.text, (path, answer.text)
            assert 'href="/batches"' in answer.text
            assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/nosuch", "/batches", "/api/batches"])
async def test_a_browser_without_a_cookie_learns_how_to_sign_in(local, path):
    """A browser without a cookie gets a page that says how to sign in, without links to other pages."""
    answer = await local.anonymous.get(path, headers=NAVIGATION)

    assert (answer.status_code, _is_page(answer)) == (401, True)
    assert "You are signed out" in answer.text
    assert "<nav" not in answer.text


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", HTML["Accept"]])
async def test_a_program_gets_errors_as_json(local, accept):
    """The API returns JSON errors to programs even if their HTTP library accepts HTML by default."""
    async with cookied(local, **({} if accept is None else {"Accept": accept})) as program:
        paths = ["/api/batches/none", "/api/nosuch", *([] if accept == HTML["Accept"] else ["/nosuch"])]
        answers = [await program.get(path) for path in paths]
        answers.append(await program.post("/api/batches", content=b"x" * 2_000))
        answers.append(await program.delete("/api/recipes"))

    assert {answer.status_code for answer in answers} == {404, 413, 405}
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}


async def test_a_server_for_an_app_sends_strangers_to_the_app(tmp_path):
    """With JSON Web Tokens, the error page of a stranger names the app, without navigation and local token."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings) as running:
            stranger = await running.anonymous.get("/nosuch", headers=HTML)

    assert (stranger.status_code, _is_page(stranger)) == (401, True)
    assert "go to the app" in stranger.text
    assert "/batches" not in stranger.text
    assert "backstay serve" not in stranger.text
