"""Servers that stop, die, restart, and share one database."""

import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from backstay.server import ServerSettings
from backstay.server.scheduled_cleanup import CleanupJob
from backstay.server.serve import _open_listener
from backstay.signal_counter import SAME_SIGNAL_SECONDS
from support.fakes.provider import KEY, ProviderServer, Said, Status
from support.harness.commands import in_process
from support.harness.waiting import PATIENCE_SECONDS
from support.servers.api import ANN, bearer, served, serving, token_of
from support.stores.sql import ask

_ITEMS = [{"id": f"i{number}", "topic": f"t{number}"} for number in range(200)]
_SLOW = 'processors = ["scripted:0.05"]\n'


def _begin(server, **more):
    body = {"jobId": "j", "items": _ITEMS, "processor": "scripted:0.05", "concurrency": 4, **more}
    server.client.post("/api/batches", json=body).raise_for_status()
    server.wait_for(lambda: _job(server)["completed"] >= 8)


def _job(server, job="j"):
    return server.client.get(f"/api/batches/{job}").json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_stops_gracefully(tmp_path, number):
    """A stopping server releases its leases, counts no crash, and exits with 0."""
    with served(tmp_path, _SLOW) as server:
        _begin(server)
        started = time.monotonic()

        assert server.stop(number) == 0
        assert time.monotonic() - started < 15
        assert server.logged("job_run_ended")[-1]["ending"] == "stopped"

    database = tmp_path / ".backstay" / "backstay.db"
    assert ask(database, "SELECT count(*) FROM workers") == [(0,)]
    assert ask(database, "SELECT count(*) FROM items WHERE state = 'running' OR interruptions > 0") == [(0,)]


def test_a_second_signal_leaves_at_once(tmp_path):
    """A second signal stops the server at once, and its job stays resumable."""
    with served(tmp_path, 'processors = ["scripted:30"]\ngrace_seconds = 60.0\n') as server:
        server.client.post("/api/batches", json={"jobId": "j", "items": _ITEMS, "processor": "scripted:30"})
        server.wait_for(lambda: _job(server)["running"])
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)  # like a wrapper that forwards a signal to its whole group
        server.wait_for(lambda: _lets_nobody_in(server))
        time.sleep(1.1 * SAME_SIGNAL_SECONDS)  # a repetition before that counts as the first signal
        assert server.process.poll() is None

        assert server.stop(signal.SIGTERM) == 130


def _lets_nobody_in(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=20).close()
    except ConnectionError:
        return True
    return False


def test_an_interrupted_job_waits_for_a_request(tmp_path):
    """The next server shows the job of a killed server as interrupted, and resumes it on request."""
    with served(tmp_path, _SLOW) as server:
        _begin(server)
        server.stop(signal.SIGKILL)

    with served(tmp_path, _SLOW) as server:
        interrupted = _job(server)
        assert (interrupted["state"], interrupted["completed"] >= 8) == ("interrupted", True)
        other = {"jobId": "other", "items": [{"topic": "x"}], "processor": "scripted:0.05"}
        server.client.post("/api/batches", json=other).raise_for_status()
        server.wait_for(lambda: server.client.get("/api/batches/other").json()["state"] == "completed")
        assert (_job(server)["state"], _job(server)["completed"]) == ("interrupted", interrupted["completed"])

        resumed = server.client.post("/api/batches/j/resume", json={"concurrency": 64})

        assert resumed.status_code == 202
        server.wait_for(lambda: _job(server)["state"] == "completed")
        assert _job(server)["completed"] == 200


def test_an_interrupted_job_is_resumed_automatically(tmp_path):
    """With `automatic_resume`, the server resumes interrupted jobs by itself."""
    with served(tmp_path, _SLOW) as server:
        _begin(server)
        server.stop(signal.SIGKILL)

    with served(tmp_path, _SLOW + "automatic_resume = true\nconcurrency = 64\n") as server:
        server.wait_for(lambda: _job(server)["state"] == "completed")


def test_two_servers_share_a_job(tmp_path):
    """Two servers work on one job without repeating an item, and both can report on it."""
    other = tmp_path / "other"
    other.mkdir()
    database = str(tmp_path / ".backstay" / "backstay.db")
    with (
        served(tmp_path, _SLOW) as first,
        served(other, _SLOW, BACKSTAY_DATABASE_URL=database) as second,
    ):
        _begin(first)
        second.client.post("/api/batches/j/resume", json={"concurrency": 4}).raise_for_status()
        second.wait_for(lambda: _job(first)["workers"] == 2 or _job(first)["state"] == "completed")
        second.wait_for(lambda: _job(second)["state"] == "completed")

    assert ask(database, "SELECT count(*), count(DISTINCT item_id) FROM conversations") == [(200, 200)]


def test_a_job_of_the_command_line_shows_live(tmp_path):
    """A job of the command line sends live events, and the server can pause it."""
    with served(tmp_path, _SLOW) as server:
        (tmp_path / "topics.csv").write_text("topic\n" + "".join(f"t{n}\n" for n in range(400)))
        command = [sys.executable, "-m", "backstay", "run", "topics.csv", "--job", "j", "--model", "scripted:0.05"]
        worker = subprocess.Popen([*command, "--concurrency", "2"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        server.wait_for(lambda: _job(server).get("completed", 0) >= 4)

        assert server.client.post("/api/batches/j/pause").json()["state"] == "paused"

        assert worker.wait(timeout=PATIENCE_SECONDS) == 5


def test_a_server_for_an_app_says_how_its_users_sign_in(tmp_path):
    """A server with JSON Web Tokens says that the app signs its users in, and how to sign in on this machine."""
    with served(tmp_path, jwt_mode=True) as server:
        notes = lambda: [line["text"] for line in server.logged("user_notified") if "signIn" in line["text"]]  # noqa: E731
        server.wait_for(notes)
        (note,) = notes()
    variable, value = note.split()[-3].split("=")
    with served(tmp_path, jwt_mode=True, **{variable: value}) as server:
        page = server.client.get("/batches", headers={"Accept": "text/html"})

    assert "JSON Web Token" in note
    assert page.status_code == 200


def test_a_server_that_calls_no_model_says_so(tmp_path):
    """A server without recipes says that it only has the scripted writer, until recipes are configured."""
    (tmp_path / "tutor.toml").write_text('model = "openai:writer"\n')
    pages = []

    def notes(toml):
        with served(tmp_path, toml) as server:
            file = {"file": ("topics.csv", b"topic\nx\n")}
            pages.append(server.client.post("/batches/upload", files=file, follow_redirects=True).text)
            return [line["text"] for line in server.logged("user_notified") if "scripted" in line["text"]]

    (note,) = notes("")
    again = notes(f"[server.recipes]\n{note.partition('for example: ')[2]}\n")

    assert again == [note]  # from the first start, in the same log
    assert "calls no model" in pages[0]
    assert "calls no model" not in pages[1]
    assert "tutor (openai:writer)" in pages[1]


def test_a_new_key_reaches_a_server_as_its_messages_say(tmp_path):
    """A missing or refused API key needs a restart if it is a variable, but not if it is in a file."""
    wrong, recipes = (
        "sk-wrong-0123456789abcdef",
        "[server.recipes]\nopenai = 'openai.toml'\nanthropic = 'anthropic.toml'\n",
    )
    (tmp_path / "key").write_text(wrong)
    for name in ("openai", "anthropic"):
        (tmp_path / f"{name}.toml").write_text(f"model = '{name}:writer'\nturns = 2\n")

    def made(server, recipe):
        items = [{"topic": "x"}]
        return server.client.post("/api/batches", json={"jobId": recipe, "items": items, "recipe": recipe}).json()

    def settled(server, job, state):
        return server.wait_for(lambda: (current := _job(server, job))["state"] == state and current)

    def pause_message(server, job):
        return settled(server, job, "paused")["pause"]["message"]

    def resumed(server, job):
        server.client.post(f"/api/batches/{job}/resume", json={})
        return settled(server, job, "completed")

    with ProviderServer(lambda call: Said() if KEY in str(call.headers) else Status(401)) as model:
        openai = {"OPENAI_BASE_URL": model.base_url}
        with served(tmp_path, recipes, **openai) as server:
            missing = made(server, "anthropic")["error"]["message"]
            made(server, "openai")
            none = pause_message(server, "openai")
        with served(tmp_path, recipes, **openai, OPENAI_API_KEY=wrong) as server:
            server.client.post("/api/batches/openai/resume", json={})
            server.wait_for(lambda: "restart" in (message := pause_message(server, "openai")) and message != none)
            refused = pause_message(server, "openai")
        keys = f"{recipes}[keys.ANTHROPIC_API_KEY]\nfile = 'key'\n"
        with served(
            tmp_path, keys, **openai, OPENAI_API_KEY=KEY, ANTHROPIC_BASE_URL=model.base_url.removesuffix("/v1")
        ) as server:
            resumed(server, "openai")
            made(server, "anthropic")
            of_file = pause_message(server, "anthropic")
            (tmp_path / "key").write_text(KEY)
            resumed(server, "anthropic")

    assert "restart the server with it in ANTHROPIC_API_KEY" in missing
    assert "put it into OPENAI_API_KEY and restart the server (a file" in none
    assert "put a valid one there and restart the server (a file or command under [keys.OPENAI_API_KEY]" in refused
    assert "restart" not in of_file


@pytest.mark.parametrize(
    "toml, message", [("port = 'x'\n", "port"), ("nonsense = 1\n", "nonsense"), ("jwt_secret = 'x'\n", "jwt_secret")]
)
def test_wrong_settings_are_reported_in_one_line(tmp_path, monkeypatch, capfd, toml, message):
    """A wrong setting ends the command with one line before anything is opened or created."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backstay.toml").write_text("[server]\n" + toml)

    ended = in_process(capfd)("serve")

    assert ended.code == 2
    assert message in ended.one_line_error()
    assert ended.err.count("\n") == 1
    assert not (tmp_path / ".backstay").exists()


def test_a_port_in_use_is_reported_in_one_line(tmp_path, monkeypatch, capfd):
    """A port in use ends the command with one line that names `--port`."""
    monkeypatch.chdir(tmp_path)
    with served(tmp_path) as server:
        ended = in_process(capfd)("serve", "--port", str(server.port))

    assert ended.code == 2
    assert "--port" in ended.one_line_error()
    assert ended.err.count("\n") == 1


def test_small_answers_are_sent_at_once():
    """The listening socket is created as TCP, so that small responses are not delayed by 40 ms."""
    with _open_listener(ServerSettings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_log_has_requests_and_no_secrets(tmp_path):
    """The request log has ids, codes and times, but no tokens, queries or content."""
    with served(tmp_path) as server:
        server.client.get("/", params={"token": server.token})
        server.client.get("/api/batches/none", headers={"X-Request-Id": "abc-1"})
        server.client.post(
            "/api/batches",
            json={"jobId": "j", "items": [{"topic": "a very private topic"}], "processor": "scripted"},
        )
        server.client.get("/api/conversations", params={"search": "very private"})
        server.stop()

        lines = server.logged("request_finished")
        text = server.log.read_text()

    line_of_request = {line["request"]: line for line in lines}["abc-1"]
    assert (line_of_request["status"], line_of_request["code"], line_of_request["route"]) == (
        404,
        "job_not_found",
        "/api/batches/{jobId}",
    )
    assert server.token not in text
    assert "private" not in text


# -- the daily cleanup -----------------------------------------------------------------------------------------------


async def _expired_backup(api, settings):
    ids = await api.made(1)
    backup = (await api.ann.post("/api/backup/create", json={"conversationIds": ids})).json()["backupId"]
    ask(settings.database_url, "UPDATE backups SET expires_at = 1, first_seen_expired_at = 1")
    return backup


async def test_the_cleanup_removes_what_has_expired(api, settings):
    """The cleanup removes expired backups of all owners, and each run is logged and counted."""
    backup = await _expired_backup(api, settings)
    cleaning = CleanupJob(backstay=api.state.backstay, metrics=api.state.metrics, cron="0 2 * * *")

    assert await cleaning.run()

    assert (await api.ann.get(f"/api/backups/{backup}")).json()["state"] == "expired"
    assert not list((settings.here / "backups").rglob("*.zst"))
    assert b'backstay_backup_cleanups_total{result="done"} 1.0' in api.state.metrics.render()


async def test_one_server_of_all_cleans_up(api):
    """Only the first of several servers runs a scheduled cleanup."""
    cleaning = [CleanupJob(backstay=api.state.backstay, metrics=api.state.metrics, cron="0 2 * * *") for _ in range(3)]
    due = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)

    assert [await cleanup.run(due) for cleanup in cleaning] == [True, False, False]
    assert await cleaning[1].run(due.replace(day=2))


async def test_a_cleanup_that_fails_is_logged(api, settings, caplog):
    """A failed cleanup of one owner is logged, and the cleanup of others continues."""
    await _expired_backup(api, settings)
    ask(settings.database_url, "UPDATE backups SET created_at = created_at + 86400000000, verified_at = NULL")
    cleaning = CleanupJob(backstay=api.state.backstay, metrics=api.state.metrics, cron="0 2 * * *")

    with caplog.at_level("WARNING", logger="backstay.server"):
        assert await cleaning.run()

    assert "cleanup_failed" in caplog.text
    assert b'backstay_backup_cleanups_total{result="failed"} 1.0' in api.state.metrics.render()


async def test_the_cleanup_comes_at_two(api):
    """The cleanup runs at 02:00 UTC by default, or as the settings say."""
    cleaning = CleanupJob(backstay=api.state.backstay, metrics=api.state.metrics, cron="0 2 * * *")
    cleaning.start()

    (scheduled,) = cleaning._scheduler.get_jobs()
    next_at = scheduled.next_run_time
    assert (next_at.hour, next_at.minute, next_at.utcoffset().seconds) == (2, 0, 0)
    cleaning.stop()


# -- mounted ---------------------------------------------------------------------------------------------------------


async def test_the_api_can_be_mounted(settings):
    """The API can be mounted in another application under a path."""
    async with serving(settings) as api:
        outer = FastAPI()
        outer.mount("/backstay", api.app)
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
            refused = await client.get("/backstay/api/batches")
            client.headers = bearer(token_of(ANN))
            created = await client.post(
                "/backstay/api/batches", json={"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted"}
            )
            response = await client.get(created.headers["location"])
            described = await client.get("/backstay/openapi.json")

    assert refused.status_code == 401
    assert created.headers["location"] == "/backstay/api/batches/j"
    assert response.json()["id"] == "j"
    assert described.status_code == 200
