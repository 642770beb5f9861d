"""Outages of the server, repeated or long: jobs wait for it and continue by themselves."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from support.faults.batch_invariants import violations
from support.faults.postgres_proxy import Proxy
from support.harness.sampling import FULL
from support.harness.waiting import locks_waited_for, until
from support.stores import postgres
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B1", "B5", "B6")

_STOPS = 30 if FULL else 4
_CALLS_BETWEEN = 100  # small enough that all stops fit into the job
_AWAY_SECONDS = 60 if FULL else 8
_ENDED = 30 if FULL else 10  # sessions of each kind that are ended


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """The server, which tests may stop, and which runs again for the next test."""
    server = postgres.server_of_ours()
    yield server
    if not server.is_running:
        server.start()


def calls(scene) -> int:
    return len(scene.witness().calls)


@pytest.mark.sweep
def test_a_server_that_crashes_every_few_seconds(server, scene):
    """A job on a server that crashes every few seconds completes, and nothing is done twice."""
    scene.items = 5_000 if FULL else 800
    scene.concurrency = 16
    worker = scene.start(seconds=0.3 if FULL else 0.15)
    scene.until_called(worker, 20)

    for _ in range(_STOPS):
        scene.until_called(worker, calls(scene) + _CALLS_BETWEEN)
        server.stop("immediate")
        time.sleep(0.5)  # the server is down for this long
        server.start()
        more = calls(scene) + 1
        until(lambda more=more: calls(scene) >= more or worker.poll() is not None)
    stopped_while_it_worked = worker.poll() is None
    code = scene.finish(worker, seconds=600)

    assert stopped_while_it_worked
    assert code == 0, scene.errors()
    assert calls(scene) == scene.items
    assert scene.broken() == []


@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["in a transaction", "any"])
def test_sessions_that_are_ended(scene, url, kind):
    """A job completes although its sessions are ended while they write, and while they are idle."""
    scene.items, scene.concurrency = 1_200 if FULL else 400, 16
    worker = scene.start(seconds=0.15)
    scene.until_called(worker, 20)
    which = "AND xact_start IS NOT NULL" if kind == "in a transaction" else ""
    end = f"""SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'backstay' {which}"""

    ended = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while ended < _ENDED and worker.poll() is None:
            ended += connection.execute(end).fetchone()[0]
            time.sleep(0.002 if which else 0.1)  # random moment: ends every session found then
    code = scene.finish(worker, seconds=120)

    assert ended >= _ENDED
    assert code == 0, scene.errors()
    assert calls(scene) == scene.items
    assert scene.broken() == []


@pytest.mark.sweep
def test_a_server_that_is_gone_for_a_while(server, scene):
    """During an outage only the calls in flight are made, and afterwards the job continues by itself."""
    scene.items, scene.concurrency = 300, 8
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 30)

    server.stop("immediate")
    begun = calls(scene)
    time.sleep(_AWAY_SECONDS)  # must not happen: further calls meanwhile
    meanwhile = calls(scene) - begun
    waits = worker.poll() is None
    server.start()
    code = scene.finish(worker, seconds=120)

    assert waits, scene.errors()
    assert meanwhile <= scene.concurrency
    assert code == 0, scene.errors()
    assert calls(scene) == scene.items
    assert scene.broken() == []


# -- interrupted during an outage -------------------------------------------------------------------------------------


def a_run(scene, url: str, *, grace: str = "") -> subprocess.Popen[str]:
    """Start the command on a job of a thousand items."""
    (scene.folder / "made.py").write_text(
        "import asyncio\n"
        "from backstay import Conversation, Turn\n"
        "async def slow(item):\n"
        "    await asyncio.sleep(0.05)\n"
        "    return Conversation([Turn('user', item.topic), Turn('assistant', 'Indeed.')])\n"
    )
    (scene.folder / "topics.csv").write_text("topic\n" + "".join(f"topic {number}\n" for number in range(1_000)))
    return subprocess.Popen(
        [sys.executable, "-m", "backstay", "--database", url, "run", "topics.csv", "--processor", "made:slow"],
        cwd=scene.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def completed(url: str) -> int:
    with suppress(psycopg.Error):
        return ask(url, "SELECT count(*) FROM items WHERE state = 'completed'")[0][0]
    return 0


def ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, errors = run.communicate(timeout=120)
    finally:
        run.kill()
    return run.returncode, errors


def resumed(scene, url: str) -> int:
    again = [sys.executable, "-m", "backstay", "--database", url, "resume", "topics", "--concurrency", "64"]
    return subprocess.run(again, cwd=scene.folder, capture_output=True, timeout=120, check=False).returncode


@pytest.mark.parametrize("outage", ["stopped", "silent"])
def test_interrupted_while_the_server_is_gone(server, scene, url, outage):
    """A command interrupted during an outage ends, and its last line says what is wrong and how to continue."""
    with Proxy(url) as proxy:
        run = a_run(scene, proxy.url)
        until(lambda: completed(url) > 50)
        tries = proxy.accepted
        server.stop("immediate") if outage == "stopped" else proxy.fall_silent()
        until(lambda: proxy.held_up if outage == "silent" else proxy.accepted >= tries + 3)

        run.send_signal(signal.SIGINT)
        code, errors = ended(run)

    if outage == "stopped":
        server.start()
    last = errors.splitlines()[-1]
    assert code == 130, errors
    assert last.startswith("Interrupted; everything stored is kept. "), errors
    assert "Continue with: backstay" in last
    assert "Traceback" not in errors
    assert "Exception" not in errors
    assert str(server.password) not in errors
    assert resumed(scene, url) == 0
    assert completed(url) == 1_000
    assert violations(url, planned=1_000) == []


@pytest.mark.sweep
@pytest.mark.parametrize("table", ["items", "workers", "jobs"] if FULL else ["items"])
def test_interrupted_while_a_table_is_locked(scene, url, table):
    """A command interrupted while another program locks a table ends after its grace, and the job can be resumed."""
    run = a_run(scene, url)
    until(lambda: completed(url) > 50)
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE backstay.{table}")
        until(lambda: locks_waited_for(url))

        run.send_signal(signal.SIGINT)
        code, errors = ended(run)

    assert code == 130, errors
    assert "Continue with: backstay" in errors.splitlines()[-1]
    assert resumed(scene, url) == 0
    assert completed(url) == 1_000
    assert violations(url, planned=1_000) == []


@pytest.mark.sweep
def test_interrupted_while_a_job_cannot_be_made(scene, url):
    """A command interrupted before its job could be created names nothing to resume."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE backstay.jobs")
        run = a_run(scene, url)
        until(lambda: locks_waited_for(url))

        run.send_signal(signal.SIGINT)
        code, errors = ended(run)

    assert code == 130, errors
    assert "Error" not in errors
