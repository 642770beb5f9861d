"""A real browser on the pages, which records everything that must not happen."""

import os
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.harness import requirements

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Tells of what the policy refused, whoever had asked for it.
_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  window.tellRefused(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


_SLOW = """
import asyncio
from pathlib import Path

from backstay import Conversation, Halt, Turn


async def slow(item, work):
    with Path("calls.txt").open("a") as calls:
        calls.write(item.id + "\\n")
    await asyncio.sleep(0.05)
    while item.topic.startswith("held") and not Path("released").exists():
        await asyncio.sleep(0.05)
    if item.topic.startswith("refused"):
        work.raw("<b>refused</b>")
        return Halt("the prompt was refused", code="refused")
    if item.topic.startswith("bad") and not Path("mended").exists():
        raise ValueError("there is no such topic")
    return Conversation(turns=[Turn("user", item.topic), Turn("assistant", "Indeed.")])
"""
SETTINGS = 'processors = ["scripted", "slow:slow"]\npoll_seconds = 0.05\n'


def prepared(folder: Path, *, held: int = 0) -> Path:
    """Return a folder with the processors of a server and a file of 24 topics.

    The items of the last `held` topics are in progress until there is a file `released` in the folder.
    """
    (folder / "slow.py").write_text(_SLOW)
    rows = "".join(f"t{number:02},{_topic(number, held)},a keeper\n" for number in range(24))
    (folder / "topics.csv").write_text("id,topic,persona\n" + rows)
    return folder


def _topic(number: int, held: int) -> str:
    return f"{'Topic' if number < 24 - held else 'held'} {number}"


def begin_boats(server: Any, *, held: int = 0) -> None:
    """Start the batch of the file of topics without a page."""
    items = [{"id": f"t{number:02}", "topic": _topic(number, held)} for number in range(24)]
    body = {"jobId": "boats", "items": items, "processor": "slow:slow", "concurrency": 2}
    server.client.post("/api/batches", json=body).raise_for_status()


def checkpoints(folder: Path) -> list[tuple[str, str, str]]:
    """Return the name, the completed and the failed items of each checkpoint, read by another process."""
    with closing(sqlite3.connect(folder / ".backstay" / "backstay.db")) as database:
        return database.execute("SELECT job_id, completed_items, failed_items FROM batch_checkpoints").fetchall()


def calls(folder: Path) -> Counter[str]:
    """Return how often each item was called."""
    file = folder / "calls.txt"
    return Counter(file.read_text().split() if file.exists() else [])


@asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    """Start the installed Chromium."""
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        requirements.missing("playwright")
    import shutil

    path = next(filter(None, map(shutil.which, _NAMES)), None) or requirements.missing("chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium as root refuses to start with it
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"])
        try:
            yield started
        finally:
            await started.close()


@dataclass  # without slots: playwright puts an attribute of its own on whose methods it calls
class Seen:
    """Events on a page that must not happen."""

    origin: str
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    """Requests to other origins."""
    refused: list[str] = field(default_factory=list)
    """What the page's policy refused."""

    @property
    def everything(self) -> list[str]:
        return [*self.errors, *self.dialogs, *self.strangers, *self.refused]

    def console(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            self.refused.append(message.text)

    def request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.strangers.append(request.url)

    def violation(self, message: str) -> None:
        self.refused.append(message)

    async def dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        await dialog.dismiss()


@asynccontextmanager
async def page_of(browser: Any, server: Any, **options: Any) -> AsyncIterator[tuple[Any, Seen]]:
    """Open a page in a browser of its own that is signed in with the server's token."""
    context = await browser.new_context(base_url=server.url, locale="en-GB", **options)
    try:
        context.set_default_timeout(30_000)  # a browser beside other tests may have to wait for its CPU
        seen = Seen(server.url)
        await context.expose_function("tellRefused", seen.violation)
        await context.add_init_script(_LISTEN)
        page = await context.new_page()
        page.on("console", seen.console)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("dialog", seen.dialog)
        page.on("request", seen.request)
        await come_in(page, server)
        yield page, seen
    finally:
        await context.close()


async def come_in(page: Any, server: Any) -> None:
    """Exchange the printed token for a cookie, as a user does by opening that address."""
    await page.goto(f"{server.url}/?token={server.token}")


_DRAWN = """() => [...document.querySelectorAll("*")].every((one) => !one.shadowRoot?.querySelector(".skeleton"))"""


async def drawn(page: Any, address: str) -> None:
    """Go to a page, and wait until it has loaded completely."""
    await page.goto(address)
    await page.wait_for_function(_DRAWN)


async def put_off(page: Any) -> None:
    """Close the dialog about unfinished batches, which does not appear again on this page."""
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")


async def start_batch(page: Any, file: Any, *, name: str, writer: str, at_once: int = 2) -> None:
    """Start a batch as a person does: choose a file, look at the columns, press the button."""
    await page.goto("/batches")
    await page.set_input_files("input[type=file]", file)
    await page.get_by_role("button", name="Choose columns").click()
    await page.get_by_label("Batch name").fill(name)
    await page.get_by_label("Recipe or processor").select_option(writer)
    await page.get_by_label("Concurrent items").fill(str(at_once))
    await page.get_by_role("button", name="Start batch").click()
    await page.wait_for_url("**/batches/one*")
