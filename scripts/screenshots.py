"""Takes the pictures of the guide "In the browser" from real pages: `python scripts/screenshots.py` in a checkout.

With a folder as its argument it puts all it takes there, more than the guide shows: each page and dialog in light and
dark, wide and as on a phone. Needs Chromium and the test extra. Serves a library of its own in a temporary folder.
"""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests"))

from support.browser.pages import browser, page_of, start_batch  # noqa: E402 - the path first
from support.servers.api import served  # noqa: E402

_IMAGES = _ROOT / "docs" / "images"
_RECIPE = """
model = "openai:gpt-5-mini"
system = "You write short, natural dialogues. One side is {{ persona }}."
prompt = "Write a conversation about: {{ topic }}"
"""
_PICKY = """
import asyncio

from backstay import Conversation, Turn

_ANSWER = (
    "A fair question. Let us take it in two steps: what you see, and what is behind it. Tell me first what you have "
    "tried, and I will tell you where to look next."
)


async def write(item):
    await asyncio.sleep(0.18)
    if item.id in ("orders-01", "maths-03"):
        raise ValueError("the model refused: the answer broke off after 2 of 4 turns")
    return Conversation(
        turns=[
            Turn("user", item.topic),
            Turn("assistant", _ANSWER),
            Turn("user", "I looked at the settings, and nothing there explains it."),
            Turn("assistant", "Then it is the second step. Here is how to find out for sure."),
        ]
    )
"""
_SETTINGS = 'processors = ["writer:write", "scripted"]\npoll_seconds = 0.2\n[server.recipes]\nsupport = "recipe.toml"\n'
_GUIDE = (
    "new-batch.png",
    "batch.png",
    "resume.png",
    "conversations.png",
    "delete.png",
    "backups.png",
    "resume-phone-dark.png",
    "conversation-phone-dark.png",
)
_WIDE = {"width": 1120, "height": 720}
_PHONE = {"width": 390, "height": 780}


async def main() -> None:
    """Take all of them."""
    every = _IMAGES if len(sys.argv) < 2 else Path(sys.argv[1])
    every.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "recipe.toml").write_text(_RECIPE)
        (folder / "writer.py").write_text(_PICKY)
        topics = (_ROOT / "examples" / "topics.csv").read_text().splitlines(keepends=True)
        (folder / "topics.csv").write_text("".join(topics))
        async with browser() as opened:
            with served(folder, _SETTINGS) as server:
                await _running(opened, server, folder, every)
                server.stop(signal.SIGKILL)
            with served(folder, _SETTINGS) as server:
                for scheme in ("light", "dark"):
                    for name, size in (("", _WIDE), ("phone-", _PHONE)):
                        await _all(opened, server, every, f"{name}{scheme}", scheme, size)


async def _running(opened: Any, server: Any, folder: Path, every: Path) -> None:
    async with page_of(opened, server, viewport=_WIDE) as (page, _):
        await page.set_input_files("input[type=file]", folder / "topics.csv")
        await page.get_by_role("button", name="Choose columns").click()
        await page.wait_for_url("**/batches/new*")
        await _shot(page, every / "new-batch.png")
        await start_batch(page, folder / "topics.csv", name="support", writer="processor:writer:write", at_once=4)
        await page.locator("batch-summary .failed").first.wait_for()
        await page.wait_for_timeout(2_500)
        await _shot(page, every / "batch.png")
        server.client.post("/api/batches/support/pause").raise_for_status()
        server.wait_for(lambda: not server.client.get("/api/batches/support").json()["workers"])
        server.client.post("/api/batches/support/resume", json={"concurrency": 1}).raise_for_status()
        await page.wait_for_timeout(800)


async def _all(opened: Any, server: Any, every: Path, name: str, scheme: str, size: dict[str, int]) -> None:
    def at(what: str) -> Path:
        return every / (f"{what}.png" if name == "light" else f"{what}-{name}.png")

    async with page_of(opened, server, viewport=size, color_scheme=scheme, reduced_motion="reduce") as (page, _):
        await page.get_by_role("dialog").wait_for()
        await _shot(page, at("resume"))
        await page.get_by_role("button", name="Later").click()
        await _shot(page, at("batches"))
        await page.goto("/batches/one?id=support")
        await page.get_by_role("heading", name="2 failed items").wait_for()
        await page.keyboard.press("Escape")
        await _shot(page, at("batch-stopped"))
        await page.goto("/conversations")
        for number in (1, 2, 4):
            await page.locator("input[name=id]").nth(number).check()
        await _shot(page, at("conversations"))
        await page.get_by_role("button", name="Delete…").click()
        await page.get_by_role("dialog", name="Delete 3 conversations?").wait_for()
        await _shot(page, at("delete"))
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog", name="3 conversations deleted").wait_for()
        await page.get_by_text("which expires").wait_for()
        await _shot(page, at("deleted"))
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_text("3 conversations restored.").wait_for()
        await page.get_by_role("button", name="Done").click()
        first = page.get_by_role("table").get_by_role("link").first
        await first.click()
        await page.wait_for_url("**/conversations/one*")
        await _shot(page, at("conversation"))
        await page.goto("/backups")
        await _shot(page, at("backups"))
        await page.get_by_role("link", name="Restore").first.click()
        await _shot(page, at("restore"))
        await page.goto("/backups/one?id=none")
        await _shot(page, at("error"))


async def _shot(page: Any, file: Path) -> None:
    if file.parent == _IMAGES and file.name not in _GUIDE:
        return
    await page.screenshot(path=file)
    print(file)


if __name__ == "__main__":
    asyncio.run(main())
