"""The tables of batches and items update live without disturbing the reader."""

import re

import pytest

from support.browser.pages import page_of
from support.browser.proxy import CuttingProxy
from support.servers.api import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

_REQUESTS_A_SECOND = 0.5
_MARK = """() => {
  const row = document.querySelector("[data-row=last]");
  window.marked = row;
  document.querySelector("a[href*=conversations]").focus();
  getSelection().selectAllChildren(row.querySelector("th"));
  window.scrollTo(0, 200);
  window.announced = 0;
  const said = [...document.querySelectorAll("[aria-live], [role=status], [role=alert]")];
  const announced = new MutationObserver(() => window.announced++);
  for (const one of said) announced.observe(one, { subtree: true, childList: true });
  return [scrollY, String(getSelection()), document.activeElement.textContent];
}"""
_AS_MARKED = """() => [
  [scrollY, String(getSelection()), document.activeElement.textContent],
  window.marked === document.querySelector("[data-row=last]"), window.announced,
]"""


def _begin(server, name, topics):
    items = [{"id": topic, "topic": topic} for topic in topics]
    body = {"jobId": name, "items": items, "processor": "slow:slow", "maxAttempts": 1, "concurrency": 1}
    server.client.post("/api/batches", json=body).raise_for_status()


def _named(request):
    return re.sub(r"\W+", "-", request.node.name)


async def test_the_items_of_a_running_batch_are_live(page, server, request):
    """States, attempts, results and actions update in place, and nothing else moves."""
    name = _named(request)
    _begin(server, name, ["bad", *(f"t{number}" for number in range(80)), "last"])
    requests = []
    page.on("request", lambda sent: requests.append(sent.url) if "/batches/one" in sent.url else None)
    await page.goto(f"/batches/one?id={name}")
    await page.locator("[data-row=last] .chip-pending").wait_for()
    marked = await page.evaluate(_MARK)
    await page.locator("[data-row=bad] .reason").get_by_text("there is no such topic").wait_for()
    await page.locator("[data-row=last]").get_by_role("link", name="Read").wait_for()
    await page.get_by_role("button", name="Retry failed items").wait_for()
    seconds = await page.evaluate("performance.now() / 1000")

    assert await page.evaluate(_AS_MARKED) == [marked, True, 0]
    assert await page.locator("[data-live=items] .chip-completed").count() == 81
    assert await page.locator("[data-live=state]").inner_text() == "completed with failures"
    assert len(requests) <= 3 + seconds * _REQUESTS_A_SECOND


async def test_the_list_of_batches_is_live(page, server, request):
    """Progress and states update in the rows of the list, and new batches get a row."""
    name = _named(request)
    _begin(server, name, [f"t{number}" for number in range(160)])
    server.wait_for(lambda: server.client.get(f"/api/batches/{name}").json()["completed"])
    await page.goto("/batches")
    row = page.locator(f'[data-row="{name}"]')
    await row.locator(".chip-running").wait_for()
    await row.evaluate("(row) => { window.marked = row; }")
    await row.get_by_role("link").focus()
    _begin(server, f"{name}-next", ["t"])
    await row.get_by_text(re.compile(r"^[1-9]\d* of 160$")).wait_for()
    await page.locator(f'[data-live=batches] tr:first-child[data-row="{name}-next"] .chip-completed').wait_for()
    await row.locator(".chip-completed").wait_for()

    assert await row.evaluate("(row) => row === window.marked")
    assert await page.evaluate("document.activeElement.textContent") == name


async def test_a_table_without_contact_is_quiet(browser, server, request):
    """Without contact a table shows nothing new, polls less often, and updates again once contact returns."""
    name = _named(request)
    _begin(server, name, [f"t{number}" for number in range(100)])
    server.wait_for(lambda: server.client.get(f"/api/batches/{name}").json()["completed"])
    with CuttingProxy(server.port) as proxy:
        behind = Server(server.process, proxy.url, server.token, server.log)
        async with page_of(browser, behind) as (page, seen):
            await page.goto("/batches")
            await page.locator(f'[data-row="{name}"] .chip-running').wait_for()
            proxy.cut_at(b"GET /batches")
            async with page.expect_event("requestfailed", lambda sent: sent.url.endswith("/batches")):
                pass
            before = await page.locator("main").inner_text()
            async with page.expect_event("requestfailed", lambda sent: sent.url.endswith("/batches")):
                pass
            assert await page.get_by_role("alert").count() == 0
            assert await page.locator("main").inner_text() == before
            proxy.mend()
            await page.locator(f'[data-row="{name}"] .chip-completed').wait_for()
            assert seen.everything == []
        behind.client.close()


async def test_the_buttons_of_a_paused_batch_follow_its_last_worker(page, server, request):
    """A paused batch gets its resume button once its calls in flight have ended, and the focus stays."""
    name = _named(request)
    _begin(server, name, [f"held {number}" for number in range(8)])
    await page.goto(f"/batches/one?id={name}")
    await page.locator("[data-live=items] .chip-running").first.wait_for()

    await page.get_by_role("button", name="Pause").focus()
    server.client.post(f"/api/batches/{name}/pause").raise_for_status()
    await page.locator("[data-live=state] .chip-paused").wait_for()
    assert await page.get_by_role("button", name="Pause").is_visible()
    (server.log.parent / "released").touch()
    await page.get_by_role("button", name="Resume", exact=True).wait_for()

    (server.log.parent / "released").unlink()

    assert await page.locator("[data-live=items] .chip-running").count() == 0
    assert await page.evaluate("document.activeElement.textContent !== 'Resume'")
