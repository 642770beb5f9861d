"""The manual checklist of batches, line by line, in a real browser."""

import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from support.browser.pages import SETTINGS, begin_boats, calls, checkpoints, page_of, prepared, start_batch
from support.faults.sabotage import switch_off
from support.servers.api import served
from support.stores.sql import ask

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _job(server, name="boats"):
    return server.client.get(f"/api/batches/{name}").json()


async def _begin_and_kill(folder, *, browser=None, without=""):
    """Start a batch, in a page if there is a browser, and kill its server midway."""
    prepared(folder, held=12)  # so that the batch cannot end before the kill
    with served(folder, SETTINGS, without=without) as server:
        if browser is not None:
            async with page_of(browser, server) as (page, _):
                await start_batch(page, folder / "topics.csv", name="boats", writer="processor:slow:slow")
        else:
            begin_boats(server, held=12)
        # An item is called once the outcome of an earlier one is committed, so at least four were by then.
        server.wait_for(lambda: sum(calls(folder).values()) >= 8)
        server.stop(signal.SIGKILL)
    (folder / "released").touch()


@asynccontextmanager
async def _interrupted(browser, folder, *, by_hand=False):
    """Start a batch and kill its server midway; yield the next server and a page that is signed in there."""
    await _begin_and_kill(folder, browser=browser if by_hand else None)
    with served(folder, SETTINGS) as server:
        async with page_of(browser, server) as (page, seen):
            yield server, page
        assert seen.everything == []


async def test_interrupted_midway_the_checkpoint_is_saved(browser, tmp_path):
    """Start batch, interrupt midway, verify checkpoint saved: completed items are kept."""
    async with _interrupted(browser, tmp_path, by_hand=True) as (server, _):
        _check_that_the_checkpoint_is_saved(tmp_path)
        assert _job(server)["state"] == "interrupted"


async def test_control_without_outcomes_the_checkpoint_is_empty(tmp_path):
    """If outcomes are not stored, the checkpoint of an interrupted batch lacks the completed items."""
    await _begin_and_kill(tmp_path, without="outcomes")

    with pytest.raises(AssertionError, match=r"^the checkpoint holds 0 completed items"):
        _check_that_the_checkpoint_is_saved(tmp_path)


def _check_that_the_checkpoint_is_saved(folder):
    ((job_id, completed, _),) = checkpoints(folder)
    assert job_id == "boats"
    count = completed.count('"t')
    assert 4 <= count < 24, f"the checkpoint holds {count} completed items"


async def test_after_a_reload_the_dialog_appears(browser, tmp_path):
    """Reload page, verify resume dialog appears: once postponed, it stays away until the job has changed."""
    async with _interrupted(browser, tmp_path) as (_, page):
        await page.reload()
        dialog = page.get_by_role("dialog", name="A batch is not finished")
        await dialog.wait_for()

        text = await dialog.inner_text()
        assert "boats" in text
        assert "Its worker stopped." in text
        assert "tokens used" in text
        await page.get_by_role("button", name="Later").click()
        await page.reload()
        await page.get_by_role("heading", name="All batches").wait_for()
        assert await page.get_by_role("dialog").count() == 0
        await page.evaluate("sessionStorage.clear()")  # unless postponed, the dialog would appear
        await page.reload()
        await dialog.wait_for()


async def test_resumed_it_skips_completed_items(browser, tmp_path):
    """Resume batch, verify skips completed items: no completed item is generated again."""
    async with _interrupted(browser, tmp_path) as (server, page):
        completed = _job(server)["completed"]
        earlier = _completed_items(tmp_path)
        before = calls(tmp_path)
        at_once = page.get_by_role("dialog").get_by_label("Concurrent items")
        assert await at_once.input_value() == "2"  # the value with which the batch was started
        await at_once.fill("0")
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.get_by_role("alert").get_by_text("Concurrent items:").wait_for()
        await at_once.fill("3")
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.wait_for_url("**/batches/one*")
        await page.get_by_text("Completed: 100% of 24 items.").wait_for()

        _check_that_none_is_repeated(tmp_path, before, earlier)
        after = calls(tmp_path) - before
        assert sum(after.values()) == 24 - completed
        assert all(count <= 2 for count in calls(tmp_path).values())
        assert (_job(server)["completed"], _job(server)["concurrency"]) == (24, 3)


async def test_control_without_its_memory_a_resume_repeats_completed_items(tmp_path):
    """If completed items are claimed like pending ones, a resumed batch calls them again."""
    await _begin_and_kill(tmp_path)
    earlier, before = _completed_items(tmp_path), calls(tmp_path)
    with served(tmp_path, SETTINGS, without="memory") as server:
        server.client.post("/api/batches/boats/resume", json={}).raise_for_status()
        server.wait_for(lambda: sum((calls(tmp_path) - before).values()) >= 24 - len(earlier))

    with pytest.raises(AssertionError, match=r"^called again: \['t00', "):
        _check_that_none_is_repeated(tmp_path, before, earlier)


def _completed_items(folder):
    ((_, completed, _),) = checkpoints(folder)
    return json.loads(completed)


def _check_that_none_is_repeated(folder, before, earlier):
    repeated = sorted(set(earlier) & set(calls(folder) - before))
    assert repeated == [], f"called again: {repeated}"


async def test_once_complete_the_checkpoint_is_gone(browser, tmp_path):
    """Complete batch, verify checkpoint cleaned up: the page still shows the batch after a restart of the server."""
    async with _interrupted(browser, tmp_path) as (server, page):
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.locator("[data-state=completed]").wait_for()  # the page was updated for the last time
        server.wait_for(lambda: _job(server)["cleaned"])

        _check_that_no_checkpoint_is_left(tmp_path / ".backstay" / "backstay.db")
        await page.goto("/batches")
        assert await page.get_by_role("dialog").count() == 0
        assert "24 of 24" in await page.get_by_role("row", name="boats").inner_text()


async def test_control_without_cleaning_the_checkpoint_stays(local, monkeypatch):
    """If nothing is cleaned, the checkpoint of a completed job stays, until the next job's cleanup removes it."""
    switch_off("cleaning", monkeypatch.setattr)
    await local.made(1)
    with pytest.raises(AssertionError, match=r"^left: \['job'\]"):
        _check_that_no_checkpoint_is_left(local.state.backstay.settings.database_url)

    monkeypatch.undo()
    await local.made(1, job_id="next")
    _check_that_no_checkpoint_is_left(local.state.backstay.settings.database_url)


def _check_that_no_checkpoint_is_left(database):
    left = [name for (name,) in ask(database, "SELECT job_id FROM batch_checkpoints")]
    assert left == [], f"left: {left}"


async def test_failed_items_are_retried_on_resume(browser, tmp_path):
    """Test with failed items, verify retry on resume: they succeed from their list once the cause is fixed."""
    prepared(tmp_path)
    (tmp_path / "topics.csv").write_text("id,topic\na,good\nb,bad luck\nc,good too\n")
    with served(tmp_path, SETTINGS) as server:
        async with page_of(browser, server) as (page, seen):
            await start_batch(page, tmp_path / "topics.csv", name="boats", writer="processor:slow:slow")
            await page.get_by_text("1 failed item").wait_for()
            await page.locator("batch-summary").get_by_text("there is no such topic").wait_for()
            (tmp_path / "mended").touch()
            requests = []
            page.on("request", lambda request: requests.append(request.url) if request.method == "POST" else None)
            await page.get_by_role("button", name="Retry bad luck").click()
            await page.get_by_text("Completed: 100% of 3 items.").wait_for()

            # One request, because the page might reload after the first of two and never send the second.
            assert requests == [f"{server.url}/api/batches/boats/resume"]
            assert calls(tmp_path) == {"a": 1, "b": 2, "c": 1}
            assert _job(server)["completed"] == 3
        assert seen.everything == []


async def test_items_that_block_a_batch_are_skipped(browser, tmp_path):
    """The page shows the answer that paused a batch, and skips its item and another failed one."""
    prepared(tmp_path)
    items = [{"id": name, "topic": topic} for name, topic in (("a", "bad luck"), ("b", "refused"), ("c", "good"))]
    body = {"jobId": "boats", "items": items, "processor": "slow:slow", "concurrency": 1, "maxAttempts": 1}
    with served(tmp_path, SETTINGS) as server:
        server.client.post("/api/batches", json=body).raise_for_status()
        server.wait_for(lambda: _job(server)["state"] == "paused" and not _job(server)["workers"])
        async with page_of(browser, server) as (page, seen):
            await page.goto("/batches/one?id=boats")
            await page.get_by_role("button", name="Later").click()
            evidence = page.get_by_role("region", name="1 attempt led to this pause")
            text = await evidence.inner_text() + await page.locator("[data-pause]").inner_text()
            await evidence.get_by_role("button", name="Skip this item").click()
            await page.get_by_text("b (skipped)").wait_for()
            await page.get_by_role("button", name="Later").click()
            await page.locator("batch-summary").get_by_role("button", name="Skip bad luck").click()
            server.wait_for(lambda: _job(server)["skipped"] == 2)
        assert seen.everything == []
        assert "the prompt was refused" in text
        assert "<b>refused</b>" in text
        assert calls(tmp_path) == {"a": 1, "b": 1}
        assert _job(server)["state"] == "paused"


async def test_failed_items_are_retried_with_the_rest_of_a_job(browser, tmp_path):
    """The dialog offers to resume the remaining items alone or together with the failed ones."""
    prepared(tmp_path, held=8)
    (tmp_path / "topics.csv").write_text((tmp_path / "topics.csv").read_text().replace("t00,Topic", "t00,bad"))
    with served(tmp_path, SETTINGS) as server:
        async with page_of(browser, server) as (page, _):
            await start_batch(page, tmp_path / "topics.csv", name="boats", writer="processor:slow:slow")
            server.wait_for(lambda: _job(server)["failed"])
            await page.get_by_role("button", name="Pause").click()
            await page.locator("[data-state=paused]").wait_for()
            (tmp_path / "released").touch()  # until then, two of the held items were in progress
            server.wait_for(lambda: not _job(server)["workers"])
            (tmp_path / "mended").touch()
            await page.goto("/batches")
            await page.get_by_role("button", name="Resume and retry 1 failed item").click()
            await page.get_by_text("Completed: 100% of 24 items.").wait_for()

            assert calls(tmp_path)["t00"] == 2
            assert sum(calls(tmp_path).values()) == 25


async def test_the_page_lives_through_a_server_that_goes_away(browser, tmp_path):
    """The numbers of a page continue after a restart of the server, without a reload."""
    prepared(tmp_path, held=12)
    with served(tmp_path, SETTINGS + "automatic_resume = true\n") as server:
        async with page_of(browser, server) as (page, _):
            await start_batch(page, tmp_path / "topics.csv", name="boats", writer="processor:slow:slow")
            server.wait_for(lambda: _job(server)["completed"] >= 2)
            await page.locator("[data-state=running]").wait_for()  # updated since its start, so no update is pending
            await page.locator("batch-summary").get_by_text("Running:").wait_for()
            server.stop(signal.SIGKILL)
            (tmp_path / "released").touch()
            await page.get_by_text("The connection was lost. Trying again…").wait_for()
            with served(tmp_path, SETTINGS + "automatic_resume = true\n", port=server.port):
                await page.get_by_text("Completed: 100% of 24 items.").wait_for(timeout=30_000)


async def test_a_reload_after_a_crash_shows_the_dialog(browser, tmp_path):
    """After the server was killed and started again, the open page reloads, signed in, and offers to resume."""
    prepared(tmp_path, held=12)
    with served(tmp_path, SETTINGS) as server:
        async with page_of(browser, server) as (page, _):
            await start_batch(page, tmp_path / "topics.csv", name="boats", writer="processor:slow:slow")
            server.wait_for(lambda: _job(server)["completed"] >= 2)
            await page.goto("/batches")
            server.stop(signal.SIGKILL)
            (tmp_path / "released").touch()
            with served(tmp_path, SETTINGS, port=server.port):
                await page.reload()
                await page.get_by_role("dialog", name="A batch is not finished").wait_for()
                await page.get_by_role("button", name="Resume", exact=True).click()
                await page.get_by_text("Completed: 100% of 24 items.").wait_for()


async def test_what_a_command_started_is_resumed_once_its_function_was_named(browser, tmp_path):
    """On the user's own machine the dialog asks before it calls an unlisted function, and then resumes."""
    prepared(tmp_path)
    command = ["run", "topics.csv", "--job", "boats", "--processor", "slow:slow", "--limit", "4"]
    subprocess.run([sys.executable, "-m", "backstay", *command], cwd=tmp_path, check=False, capture_output=True)
    with served(tmp_path) as server:
        async with page_of(browser, server) as (page, seen):
            await page.get_by_role("button", name="Resume", exact=True).click()
            await page.get_by_role("dialog").get_by_text("calls the function slow:slow").wait_for()
            assert sum(calls(tmp_path).values()) == 4
            await page.get_by_role("button", name="Resume with slow:slow").click()
            await page.get_by_text("Completed: 100% of 24 items.").wait_for()
        assert seen.everything == []
    assert sum(calls(tmp_path).values()) == 24


async def test_a_retry_of_what_a_command_started_names_its_function_first(browser, tmp_path):
    """The retry button of a failed item asks first, and calls the function on the second click."""
    prepared(tmp_path)
    (tmp_path / "topics.csv").write_text("id,topic\na,good\nb,bad luck\n")
    command = ["run", "topics.csv", "--job", "boats", "--processor", "slow:slow"]
    subprocess.run([sys.executable, "-m", "backstay", *command], cwd=tmp_path, check=False, capture_output=True)
    (tmp_path / "mended").touch()
    with served(tmp_path) as server:
        async with page_of(browser, server) as (page, seen):
            await page.goto("/batches/one?id=boats")
            await page.get_by_role("button", name="Retry bad luck").click()
            await page.get_by_text("this server calls the function slow:slow").wait_for()
            assert calls(tmp_path) == {"a": 1, "b": 1}
            await page.get_by_role("button", name="Call slow:slow").click()
            await page.get_by_text("Completed: 100% of 2 items.").wait_for()
        assert [event for event in seen.everything if "422" not in event] == []  # except the server's question
    assert calls(tmp_path) == {"a": 1, "b": 2}


async def test_what_only_a_command_resumes_says_which(browser, tmp_path):
    """If the server may not resume a job, the dialog shows the command instead of a button."""
    prepared(tmp_path)
    command = ["run", "topics.csv", "--job", "boats", "--processor", "slow:slow", "--limit", "4"]
    subprocess.run([sys.executable, "-m", "backstay", *command], cwd=tmp_path, check=False, capture_output=True)
    with served(tmp_path, BACKSTAY_ALLOWED_HOSTS="pages.example,127.0.0.1") as server:
        async with page_of(browser, server) as (page, seen):
            dialog = page.get_by_role("dialog")
            await dialog.get_by_text("backstay resume boats").wait_for()
            assert await dialog.get_by_role("button", name="Resume").count() == 0
            await page.goto("/batches/one?id=boats")
            await page.get_by_role("button", name="Later").click()
            await page.locator("[data-elsewhere]").get_by_text("backstay resume boats").wait_for()
        assert seen.everything == []
