"""How do the pages do with many conversations: on the server, and in the browser?"""

import asyncio
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from api_server import Serving, library, serving
from backstay.library.ids import new_id
from measurement import parse, print_heading, print_table, scratch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.browser.pages import browser, page_of

QUESTION = "How do the pages do with many conversations?"

_PAGES = 200
_SELECTED = 10_000
_TICKS = 20
_WATCH = """
window.long = [];
new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)))
  .observe({type: "longtask", buffered: true});
"""


def main() -> None:
    options = parse(QUESTION, items=100_000, rounds=1)
    print_heading(QUESTION, "browser_pages.py", options)
    with scratch(options.folder) as folder:
        library(folder, options.items)
        with serving(folder) as server:
            ended = asyncio.run(_listed(server, options.items))
            tasks = asyncio.run(_selected(server))
    quantiles = statistics.quantiles(ended, n=100)
    print(f"The page of conversations, {options.items:,} stored, anywhere in the list, in milliseconds.\n")
    print_table(
        ["pages", "median", "95 %", "longest"],
        [[f"{len(ended):,}", f"{quantiles[49]:.1f}", f"{quantiles[94]:.1f}", f"{max(ended):.1f}"]],
    )
    print(f"\nTasks of the browser over 50 ms while {_SELECTED:,} are selected and more are ticked, in milliseconds.\n")
    print_table(
        ["what", "long tasks", "longest"],
        [[what, f"{len(long):,}", f"{max(long, default=0):.0f}"] for what, long in tasks.items()],
    )


async def _listed(server: Serving, count: int) -> list[float]:
    chance, elapsed = random.Random(1), []
    async with aiohttp.ClientSession(server.url, headers=server.headers) as client:
        for number in range(_PAGES + 5):
            cursor = chance.randrange(60, count)
            began = time.perf_counter()
            async with client.get(f"/conversations?cursor={cursor}") as answer:
                assert answer.status == 200
                await answer.read()
            if number >= 5:
                elapsed.append(1_000 * (time.perf_counter() - began))
    return elapsed


async def _selected(server: Serving) -> dict[str, list[float]]:
    async with browser() as opened, page_of(opened, server) as (page, _):
        page.set_default_timeout(120_000)
        await page.goto("/conversations")
        await page.evaluate(_WATCH)
        await page.get_by_role("button", name="Select all that match").click()
        await page.get_by_text("All that match are selected").wait_for()
        everything = await _tasks(page)
        ids = [new_id() for _ in range(_SELECTED)]
        await page.evaluate("(ids) => sessionStorage.setItem('backstay-selection', ids.join('\\n'))", ids)
        await page.goto(f"/conversations?cursor={_SELECTED - 100}")
        await page.get_by_text("conversations selected").wait_for()
        await page.evaluate(_WATCH)
        for number in range(_TICKS):
            await page.locator("input[name=id]").nth(number).click()
        return {"select all that match": everything, f"tick {_TICKS} boxes": await _tasks(page)}


async def _tasks(page: Any) -> list[float]:
    await page.wait_for_timeout(200)
    result: list[float] = await page.evaluate("window.long.splice(0)")
    return result


if __name__ == "__main__":
    main()
