"""Kills while a provider misbehaves lose nothing, store nothing half, and repeat few calls."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from support.fakes.provider import CutOff, Drip, Hang, ProviderServer, Reset, Said, Status
from support.faults.batch_invariants import violations
from support.harness.sampling import sample
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B3", "B5")

_ITEMS = 60
_FAULTS = {
    "429": Status(429, headers={"Retry-After": "1"}),
    "500": Status(500),
    "529": Status(529),
    "a hang": Hang(),
    "a cut answer": CutOff(40),
    "a reset": Reset(),
    "a drip": Drip(0.2),
    "prose": Said("I would rather talk."),
    "slowness": Said(seconds=1.0),
}


@pytest.fixture
def provider():
    with ProviderServer() as server:
        yield server


@pytest.fixture
def command(tmp_path, provider):
    """Start `backstay` on a job of so many items; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def start(*words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "backstay", "--database", str(tmp_path / "d.db"), *words]
        with (tmp_path / "log.txt").open("ab") as log:
            process = subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=60)


def _write(folder: Path, count: int) -> str:
    path = folder / "topics.jsonl"
    path.write_text("".join(json.dumps({"id": f"i{n}", "topic": f"topic {n}"}) + "\n" for n in range(count)))
    return str(path)


def _run_options(provider, concurrency: int) -> list[str]:
    return ["--model", "m", "--base-url", provider.base_url, "--turns", "2", "--concurrency", str(concurrency)]


def _kill(process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)


def _stored(folder: Path) -> list[tuple[str, list[str]]]:
    connection = apsw.Connection(str(folder / "d.db"))
    try:
        result: dict[str, list[str]] = {}
        statement = (
            "SELECT c.topic, t.content FROM conversations AS c JOIN turns AS t ON t.conversation_key = c.key "
            "ORDER BY c.key, t.sequence"
        )
        for topic, content in connection.execute(statement):
            result.setdefault(topic, []).append(content)
        return list(result.items())
    finally:
        connection.close()


@pytest.mark.sweep
@pytest.mark.parametrize("name", sample(list(_FAULTS), 5))
def test_killed_during_a_fault(name, provider, command, tmp_path):
    """A job whose provider fails every third call is killed and resumed, and is complete with the provider's texts."""
    killed = False
    provider.behaviour = lambda call: _FAULTS[name] if call.number % 3 == 0 and not killed else Said(seconds=0.02)
    topics = _write(tmp_path, _ITEMS)

    victim = command("run", topics, *_run_options(provider, 8), "--max-attempts", "5")
    until(lambda: len(provider.calls) >= 15 or victim.poll() is not None)
    _kill(victim)
    killed = True
    before = len(provider.calls)
    status = command("resume").wait(timeout=60)

    assert status == 0, (tmp_path / "log.txt").read_text()
    stored = _stored(tmp_path)
    assert len(stored) == _ITEMS
    answered = {tuple(turns) for _, turns in provider.answered}
    assert all(tuple(turns) in answered for _, turns in stored)
    assert len(provider.calls) - before <= _ITEMS
    assert violations(tmp_path / "d.db", planned=_ITEMS) == []


def test_killed_twice_half_way(provider, command, tmp_path):
    """Two kills with 200 calls in flight repeat at most 2 x 200 calls."""
    items, concurrency = 1_200, 200
    provider.behaviour = lambda _: Said(seconds=0.1)
    topics = _write(tmp_path, items)

    for share in (0.3, 0.6):
        victim = command("run", topics, *_run_options(provider, concurrency))
        until(lambda share=share, victim=victim: len(provider.calls) >= share * items or victim.poll() is not None)
        _kill(victim)
    status = command("resume", "--concurrency", str(concurrency)).wait(timeout=120)

    assert status == 0, (tmp_path / "log.txt").read_text()
    assert len(_stored(tmp_path)) == items
    assert len(provider.calls) <= items + 2 * concurrency
    assert violations(tmp_path / "d.db", planned=items) == []
