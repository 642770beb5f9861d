"""Starts and stops of the application that fail half-way."""

import httpx
import pytest

from backstay.errors import BackstayError
from backstay.server import ServerSettings, create_app, running
from backstay.server.background_backups import BackgroundBackups
from backstay.server.events.hub import Hub
from backstay.server.scheduled_cleanup import CleanupJob
from backstay.server.supervisor import Supervisor
from backstay.settings import Settings
from support.servers.api import LOCAL, ORIGIN, Serving, bearer


def _fail(self):
    raise RuntimeError("broken")


def _record(stopped, name):
    async def stop(self):
        stopped.append(name)

    return stop


@pytest.fixture
def app(tmp_path):
    """An application on a database that does not exist yet, with a temporary file."""
    settings = Settings(here=tmp_path, database_url=f"sqlite:///{tmp_path / 'library.db'}")
    app = create_app(settings, ServerSettings(automatic_resume=True, processors=("scripted",)), token=LOCAL)
    (app.state.app_state.files.path() / "upload").touch()
    return app


async def test_a_start_that_fails_stops_what_it_has_started(app, monkeypatch):
    """If the last step of the start fails, the scheduler is stopped, the library closed and temporary files removed."""
    state, stopped = app.state.app_state, []
    folder = state.files.path()
    monkeypatch.setattr(CleanupJob, "stop", lambda self: stopped.append("cleanup"))
    monkeypatch.setattr(Supervisor, "resume_interrupted", _fail)

    with pytest.raises(RuntimeError, match="broken"):
        async with running(app):
            pass

    assert (stopped, folder.exists()) == (["cleanup"], False)
    async with state.backstay:
        pass  # the library was closed, so it can be opened


async def test_a_library_that_cannot_be_opened_leaves_no_temporary_files(app, tmp_path):
    """If the database cannot be used, the temporary files are removed."""
    (tmp_path / "library.db").mkdir()
    folder = app.state.app_state.files.path()

    with pytest.raises(BackstayError):
        async with running(app):
            pass

    assert not folder.exists()


async def test_a_stop_that_fails_skips_no_other(app, monkeypatch):
    """If the event streams cannot be stopped, jobs and backups are stopped anyway and temporary files removed."""
    stopped = []
    folder = app.state.app_state.files.path()
    monkeypatch.setattr(Hub, "stop", _fail)
    for owner in (Supervisor, BackgroundBackups):
        monkeypatch.setattr(owner, "stop", _record(stopped, owner.__name__))

    with pytest.raises(RuntimeError, match="broken"):
        async with running(app):
            pass

    assert (stopped, folder.exists()) == (["Supervisor", "BackgroundBackups"], False)


async def test_an_application_that_starts_again_works_on_jobs(app):
    """Each time the application is started, as by every test of an app that mounts it, it works on jobs."""
    for job_id in ("first", "second"):
        async with running(app), httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=ORIGIN, headers=bearer(LOCAL)
        ) as client:  # fmt: skip
            body = {"jobId": job_id, "items": [{"topic": "Tea"}], "processor": "scripted"}
            assert (await client.post("/api/batches", json=body)).status_code == 201
            job = await Serving(app, client, client, client).settled(job_id)

        assert job["state"] == "completed"
