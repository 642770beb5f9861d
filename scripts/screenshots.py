"""Takes the pictures of the guide "In the browser" from real pages: `python scripts/screenshots.py` in a checkout.

With a folder as its argument it puts all it takes there, more than the guide shows: each page and dialog in light and
dark, wide and as on a phone. Needs Chromium and the test extra. Serves a library of its own in a temporary folder.
"""

import asyncio
import json
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
_ARGUMENTS = {"city": "Lisbon", "days": 2, "units": "metric"}
_FORECAST = {"days": [{"day": "Sat", "sky": "clear", "max": 24}, {"day": "Sun", "sky": "showers", "max": 19}]}
_PICTURE = "data:image/jpeg;base64," + "/9j/4AAQSkZJRg" * 1_200
_WITH_TOOLS = {
    "id": "weekend",
    "topic": "A weekend in Lisbon",
    "metadata": {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_forecast",
                    "description": "The weather of the next days",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
            }
        ]
    },
    "conversation_turns": [
        {
            "role": "user",
            "content": "This is our hotel. Should we go out on Saturday or on Sunday?",
            "metadata": {
                "parts": [
                    {"type": "image_url", "image_url": {"url": _PICTURE}},
                    {"type": "text", "text": "This is our hotel. Should we go out on Saturday or on Sunday?"},
                ]
            },
        },
        {
            "role": "assistant",
            "content": "I will look at the forecast.",
            "metadata": {
                "reasoning": "The sign on the building says Lisboa. I need the weather of both days.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_forecast", "arguments": json.dumps(_ARGUMENTS)},
                    }
                ],
            },
        },
        {
            "role": "tool",
            "content": json.dumps(_FORECAST),
            "metadata": {"name": "get_forecast", "tool_call_id": "call_1"},
        },
        {
            "role": "assistant",
            "content": "On Saturday: it will be clear and 24 °C. On Sunday there are showers.",
            "metadata": {"reasoning": "Saturday is dry and warmer.", "weight": 1},
        },
    ],
}
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
    "conversation-tools.png",
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
                looks = [
                    (f"{name}{scheme}", {"viewport": size, "color_scheme": scheme, "reduced_motion": "reduce"})
                    for scheme in ("light", "dark")
                    for name, size in (("", _WIDE), ("phone-", _PHONE))
                ]
                for name, look in looks:
                    await _all(opened, server, every, name, look)
                file = {"file": ("weekend.jsonl", json.dumps(_WITH_TOOLS).encode())}
                server.client.post("/api/conversations/import", files=file).raise_for_status()
                for name, look in looks:
                    await _with_tools(opened, server, every, name, look)


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


def _file(every: Path, what: str, name: str) -> Path:
    return every / (f"{what}.png" if name == "light" else f"{what}-{name}.png")


async def _with_tools(opened: Any, server: Any, every: Path, name: str, look: dict[str, Any]) -> None:
    async with page_of(opened, server, **look) as (page, _):
        await page.goto("/conversations/one?id=weekend")
        await page.get_by_text("Reasoning").first.click()
        await _shot(page, _file(every, "conversation-tools", name), full_page=True)


async def _all(opened: Any, server: Any, every: Path, name: str, look: dict[str, Any]) -> None:
    def at(what: str) -> Path:
        return _file(every, what, name)

    async with page_of(opened, server, **look) as (page, _):
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
        await page.goto("/conversations/import")
        await page.get_by_text("Options").click()
        await _shot(page, at("import"))
        await page.goto("/backups")
        await _shot(page, at("backups"))
        await page.get_by_role("link", name="Restore").first.click()
        await _shot(page, at("restore"))
        await page.goto("/backups/one?id=none")
        await _shot(page, at("error"))


async def _shot(page: Any, file: Path, *, full_page: bool = False) -> None:
    if file.parent == _IMAGES and file.name not in _GUIDE:
        return
    await page.screenshot(path=file, full_page=full_page)
    print(file)


if __name__ == "__main__":
    asyncio.run(main())
