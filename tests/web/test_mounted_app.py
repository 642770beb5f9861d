"""The API and pages in another application, as the guide shows it: under a path, over real HTTP."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from backstay.errors import SettingsError
from backstay.server import ServerSettings, create_app
from backstay.settings import Settings
from support.browser.pages import page_of
from support.harness.waiting import until
from support.servers.api import LOCAL, SECRET, bearer

_GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "http-api.md"
_LINKS = """() => [...document.querySelectorAll("[href], [src], [action], [formaction], [api], [job-page]")].flatMap(
    (one) => ["href", "src", "action", "formaction", "api", "job-page"].map((name) => one.getAttribute(name))
).filter((link) => link && !link.startsWith("#"))"""


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    """The application of the guide, verbatim, in its own process."""
    folder = tmp_path_factory.mktemp("mounted")
    (program,) = [text for text in re.findall(r"```python\n(.*?)```", _GUIDE.read_text(), re.DOTALL) if "mount" in text]
    (folder / "app.py").write_text(program)
    (folder / "topics.csv").write_text("topic\nLighthouses\nBoats\n")
    log = folder / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", "--port", "0"],
            cwd=folder,
            env={"HOME": str(folder), "LANG": "C.UTF-8", "APP_TOKEN": LOCAL},
            stderr=errors,
            stdout=errors,
        )
    try:

        def running():
            assert process.poll() is None, log.read_text()
            return re.search(r"running on (http://\S+)", log.read_text())

        origin = until(running)[1]
        yield SimpleNamespace(origin=origin, url=f"{origin}/backstay", token=LOCAL, folder=folder)
    finally:
        process.kill()
        process.wait()


def test_the_application_of_the_guide_lets_people_in(mounted):
    """Only the token opens the mounted application, and all its addresses are below its path."""
    with httpx.Client(base_url=mounted.origin) as client:
        assert client.get("/backstay/api/batches").status_code == 401
        entered = client.get("/backstay", params={"token": LOCAL}, follow_redirects=True)
        assert (entered.status_code, entered.url.path) == (200, "/backstay/batches")
        assert [cookie.path for cookie in client.cookies.jar] == ["/backstay/"]
        assert client.get("/backstay/api/batches").status_code == 200

    with httpx.Client(base_url=mounted.origin, headers=bearer(LOCAL)) as client:
        body = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted"}
        created = client.post("/backstay/api/batches", json=body)
        assert created.headers["location"] == "/backstay/api/batches/j"
        until(lambda: client.get(created.headers["location"]).json()["state"] == "completed")
        (stored,) = client.get("/backstay/api/conversations?jobId=j").json()["conversations"]
        selection = {"conversationIds": [stored["id"]]}
        early = client.post("/backstay/api/backup/create", json=selection, headers={"Prefer": "respond-async"}).json()
        assert client.get(early["status"]).json()["backupId"] == early["backupId"]
        made = client.post("/backstay/api/backup/create", json=selection)
        assert client.get(made.headers["location"]).json()["filePath"] == made.json()["filePath"]
        ticket = client.post(f"{made.headers['location']}/download-ticket", json={}).json()
        assert httpx.get(mounted.origin + ticket["url"]).json()["conversations"][0]["id"] == stored["id"]
        assert client.get("/backstay/openapi.json").json()["servers"] == [{"url": "/backstay"}]
        assert client.get("/api/batches").status_code == 404


@pytest.mark.asyncio(loop_scope="session")
async def test_its_pages_stay_below_its_path(browser, mounted):
    """Every link and request of the mounted pages stays below the path."""
    seen_links = set()
    async with page_of(browser, mounted) as (page, seen):

        async def collect():
            seen_links.update(await page.evaluate(_LINKS))

        await page.set_input_files("input[type=file]", mounted.folder / "topics.csv")
        await collect()
        await page.get_by_role("button", name="Choose columns").click()
        await page.get_by_label("Batch name").wait_for()
        await collect()
        await page.get_by_role("button", name="Start batch").click()
        await page.get_by_text("Completed: 100% of 2 items.").first.wait_for()
        await collect()
        await page.get_by_role("link", name="Show conversations").click()
        await page.get_by_label("Select this page").check()
        await collect()
        await page.get_by_role("button", name="Delete…").click()
        await page.get_by_role("button", name="Back up and delete").click()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download backup").click()
        await page.get_by_role("button", name="Done").click()
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_text("The delete has been undone: the conversations are back in the library.").wait_for()
        for name in ("Backups", "Conversations", "Batches"):
            await page.get_by_role("navigation").get_by_role("link", name=name).click()
            await collect()
        await page.goto(f"{mounted.url}/docs")
        await collect()

    assert (await waiting.value).suggested_filename.startswith("backup-")
    assert seen.everything == []
    assert {link for link in seen_links if not urlsplit(link).path.startswith("/backstay")} == set()


@pytest.mark.parametrize(
    "server, token, message",
    [
        ({}, None, "pass create_app a `token`"),
        ({}, "", "pass create_app a `token`"),
        ({}, "short", "16 characters"),
        ({"auth": "token"}, None, "SUPABASE_URL"),
        ({"jwt_secret": SECRET, "issuer": "https://i.example"}, LOCAL, "BACKSTAY_AUTH=token"),
    ],
)
def test_an_application_without_a_sign_in_is_not_created(tmp_path, server, token, message):
    """`create_app` refuses to start without a way to sign in or with two, and says what to pass."""
    with pytest.raises(SettingsError) as caught:
        create_app(Settings(here=tmp_path), ServerSettings(**server), token=token)

    assert message in caught.value.message
    assert not list(tmp_path.iterdir())
