"""Runs of the server that end while they are requested again, and a search for interrupted jobs that goes wrong."""

import asyncio
from types import SimpleNamespace

import pytest

from backstay.app import Backstay
from backstay.batch.service import Batches
from backstay.batch.worker import EndReason
from backstay.server import supervisor as supervisor_module
from support.harness.async_waiting import until
from support.servers.api import ANN


@pytest.mark.parametrize("ending", [EndReason.PAUSED, EndReason.LIMIT, EndReason.CANCELLED])
async def test_a_run_that_was_requested_again_starts_again_as_last_requested(api, monkeypatch, ending):
    """The last request's limit counts for the next run; a cancelled job is not run again."""
    limits, proceed = [], asyncio.Event()

    async def resume(self, job_id, *, limit, stop, grace_seconds):
        limits.append(limit)
        await proceed.wait()
        return SimpleNamespace(ending=ending, counts=SimpleNamespace(completed=0, failed=0))

    monkeypatch.setattr(Batches, "resume", resume)
    body = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
    await api.ann.post("/api/batches", json=body)
    supervisor = api.state.supervisor
    await supervisor.start(ANN, "j", limit=10)
    await supervisor.start(ANN, "j", limit=3)
    (run,) = supervisor._tasks
    proceed.set()
    await run

    assert limits == ([10] if ending is EndReason.CANCELLED else [10, 3])


async def test_search_for_interrupted_jobs_survives_an_unexpected_error(api, monkeypatch):
    """If a search for interrupted jobs fails in any way, the next one takes place."""
    searches, searched_again = [], asyncio.Event()

    async def owners(self):
        searches.append(self)
        if len(searches) == 1:
            raise RuntimeError("broken")
        searched_again.set()
        return []

    monkeypatch.setattr(supervisor_module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(Backstay, "owners", owners)

    api.state.supervisor.resume_interrupted()

    await until(searched_again.is_set)
