"""The API: an application in this process, or a server in a process of its own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import psutil
import pytest
from fastapi import FastAPI

from backstay.server import ServerSettings, create_app, running
from backstay.server.state import AppState
from backstay.settings import Settings
from support.harness.sampling import FULL
from support.harness.waiting import PATIENCE_SECONDS, until
from support.harness.warm_processes import WarmProcess
from support.stores.kinds import DATABASES, SAMPLED, Kind, require

SECRET = "a secret of more than thirty-two bytes, for tests"
ISSUER = "https://project.example/auth/v1"
LOCAL = "the-local-token-of-a-test"
ORIGIN = "http://127.0.0.1:8717"
_SABOTAGED = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from support.faults.sabotage import switch_off
switch_off(sys.argv.pop(1))
from backstay.cli.main import main
sys.exit(main())
"""
ANN, BOB = "0b6a3f9e-ann", "7c1d2e4f-bob"


KINDS = tuple(kind for kind in DATABASES if kind.name not in SAMPLED)
"""A pooler makes no difference to the API."""
ENOUGH = KINDS if FULL else KINDS[:1]
"""For what is decided before any database is asked, one kind will do but under torture."""


@contextmanager
def library(kind: Kind, folder: Path) -> Iterator[Settings]:
    """Return the settings of a fresh library."""
    with kind.fresh_database(folder) as where:
        yield Settings(database_url=str(where), backup_directory=str(folder / "backups"), here=folder)


def libraries(kinds: Sequence[Kind]) -> Any:
    """Return a fixture: settings of a fresh library, of each of these kinds of database."""

    @pytest.fixture(params=kinds, ids=lambda kind: kind.name)
    def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
        require(request.param)
        with library(request.param, tmp_path) as chosen:
            yield chosen

    return settings


def claims(owner: str = ANN, **changed: Any) -> dict[str, Any]:
    """Return the claims of a Supabase token; a change to None removes a claim."""
    now = int(time.time())
    payload = {
        "sub": owner,
        "aud": "authenticated",
        "iss": ISSUER,
        "role": "authenticated",
        "iat": now,
        "exp": now + 3_600,
        **changed,
    }
    return {name: value for name, value in payload.items() if value is not None}


def token_of(owner: str = ANN, **changed: Any) -> str:
    return jwt.encode(claims(owner, **changed), SECRET, algorithm="HS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(slots=True)
class Serving:
    """Running application, and clients of its users."""

    app: FastAPI
    anonymous: httpx.AsyncClient
    ann: httpx.AsyncClient
    bob: httpx.AsyncClient

    @property
    def state(self) -> AppState:
        state: AppState = self.app.state.app_state
        return state

    async def settled(self, job_id: str, *, client: httpx.AsyncClient | None = None) -> dict[str, Any]:
        """Wait until a job is at rest and has no worker."""
        async with asyncio.timeout(60):
            while True:
                # Asked before the job is read: a run that ends in between has left what was read behind.
                is_worked = self.state.supervisor.job_count
                job: dict[str, Any] = (await (client or self.ann).get(f"/api/batches/{job_id}")).json()
                if job["state"] != "running" and not job["workers"] and not is_worked:
                    return job
                await asyncio.sleep(0.02)

    async def made(self, count: int = 3, *, job_id: str = "job", client: httpx.AsyncClient | None = None) -> list[str]:
        """Make conversations by a job; return their ids, the oldest first."""
        items = [{"id": f"i{number}", "topic": f"topic {number}"} for number in range(count)]
        body = {"jobId": job_id, "items": items, "processor": "scripted"}
        answer = await (client or self.ann).post("/api/batches", json=body)
        assert answer.status_code == 201, answer.text
        await self.settled(job_id, client=client)
        listed = await (client or self.ann).get("/api/conversations", params={"jobId": job_id, "limit": 200})
        return [conversation["id"] for conversation in reversed(listed.json()["conversations"])]


@asynccontextmanager
async def serving(
    settings: Settings, *, local: bool = False, is_standalone: bool = False, **server: Any
) -> AsyncIterator[Serving]:
    """Run an application that accepts JSON Web Tokens or the local token."""
    server = {"poll_seconds": 0.05, "processors": ("scripted", "scripted:0.02", "scripted:0.5"), **server}
    signing = {} if local else {"jwt_secret": SECRET, "issuer": ISSUER}
    chosen = ServerSettings(**{**signing, **server})
    app = create_app(settings, chosen, token=LOCAL if local else None, is_standalone=is_standalone)
    async with running(app):
        clients = [
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN, headers=headers)
            for headers in ({}, bearer(LOCAL if local else token_of(ANN)), bearer(token_of(BOB)))
        ]
        try:
            yield Serving(app, *clients)
        finally:
            for client in clients:
                await client.aclose()


@asynccontextmanager
async def cookied(running: Serving, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that has exchanged the local token for a cookie and sends an Origin."""
    transport = httpx.ASGITransport(app=running.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"Origin": ORIGIN, **headers}) as client:
        client.cookies.update((await client.get("/", params={"token": LOCAL})).cookies)
        yield client


@dataclass(slots=True)
class Server:
    """`backstay serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    token: str | None
    log: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = bearer(self.token or token_of(ANN))
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=30)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def descriptors(self) -> int:
        return int(psutil.Process(self.process.pid).num_fds())

    def megabytes(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal and return the exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=seconds)

    def wait_for(self, holds: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until a condition holds; return its value."""

        def poll() -> Any:
            value = holds()
            assert value or self.process.poll() is None, self.log.read_text()
            return value

        return until(poll, seconds=seconds)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@contextmanager
def served(
    folder: Path,
    toml: str = "",
    *options: str,
    port: int = 0,
    jwt_mode: bool = False,
    without: str = "",
    **environment: str,
) -> Iterator[Server]:
    """Start `backstay serve` in a folder; it does not outlive the context.

    `without` names protections that are switched off in it; see `support.faults.sabotage`.
    """
    (folder / "backstay.toml").write_text("[server]\n" + toml)
    log = folder / "server.log"
    more = {"BACKSTAY_JWT_SECRET": SECRET, "BACKSTAY_JWT_ISSUER": ISSUER} if jwt_mode else {}
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **more, **environment}
    words = ["--log-format", "json", "serve", "--port", str(port), *options]
    reading, writing = os.pipe()
    with os.fdopen(reading) as out:
        try:
            with log.open("ab") as errors:
                process = _start(words, without, out=writing, errors=errors.fileno(), cwd=folder, env=env)
        finally:
            os.close(writing)
        with _until_ended(process):
            line = out.readline().strip()
            match = re.fullmatch(r"(http://[^/]+)(?:/\?token=(\S+))?", line)
            assert match, log.read_text()
            server = Server(process, match[1], match[2], log)
            try:
                yield server
            finally:
                server.client.close()


def _start(
    words: Sequence[str], without: str, *, out: int, errors: int, cwd: Path, env: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start the command: warm, or cold where protections are to be switched off before it is imported."""
    with Path(os.devnull).open() as nothing:
        if not without:
            streams = (nothing.fileno(), out, errors)
            return WarmProcess("backstay", words, streams=streams, cwd=cwd, env=env)
        started = [sys.executable, "-c", _SABOTAGED, without, *words]
        return subprocess.Popen(started, cwd=cwd, env=env, stdin=nothing, stdout=out, stderr=errors)


@contextmanager
def _until_ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
