"""Runs that are stopped by real signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from backstay.cli.interruption import GRACE_SECONDS
from backstay.signal_counter import SAME_SIGNAL_SECONDS
from support.harness.waiting import unread, until


def _running(backstay, *words: str, processor: str = "made:slow", items: int = 200):
    """Start a run and wait until it has completed its first items."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(items)))
    process = backstay.start(*words, "run", "topics.csv", "--processor", processor, "--concurrency", "4")
    until(lambda: backstay.count("topics", "completed") > 0)
    return process


def _holding(backstay, *words: str, items: int = 200):
    """Start a run and wait until its four calls are held."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(items)))
    process = backstay.start("run", "topics.csv", "--processor", "made:held", "--concurrency", "4", *words)
    until(lambda: len(list(backstay.folder.glob("held-*"))) == 4)
    return process


def _let_go(backstay) -> None:
    (backstay.folder / "let go").touch()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_first_signal_stops_gracefully(backstay, number):
    """A first signal lets calls in flight finish, and prints the command that resumes, which works."""
    process = _holding(backstay)

    process.send_signal(number)
    announced = process.stderr.readline()
    _let_go(backstay)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert announced == b"Stopping: 4 calls in flight get up to 10 s; press again to stop at once\n"
    assert "Interrupted; all finished items are stored. Continue with: backstay resume topics\n" in err.decode()
    assert out.decode().startswith("topics: ")
    counts = backstay.job("topics").counts
    assert counts.running == 0
    assert counts.completed == int(out.split()[1]) == 4
    assert counts.pending == 196
    assert backstay("resume", "topics", "--concurrency", "200").code == 0


def test_signal_reaches_a_command_whose_loop_is_blocked(backstay):
    """A signal is announced while a processor blocks the event loop."""
    process = _running(backstay, processor="made:hog")

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Stopping: " in err.decode()
    assert "Continue with: backstay resume topics\n" in err.decode()


def test_second_signal_leaves_at_once(backstay):
    """A second signal ends the process without waiting for a call, and the job can be resumed."""
    backstay.write("topics.csv", "Gardens")
    process = backstay.start("run", "topics.csv", "--processor", "made:endless")
    until((backstay.folder / "called").exists)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith(b"Stopping: ")
    time.sleep(1.1 * SAME_SIGNAL_SECONDS)  # sooner, it would be the first signal once more

    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert time.monotonic() - started < GRACE_SECONDS / 2
    assert err.decode() == "Stopped at once; all finished items are stored. Continue with: backstay resume topics\n"
    job = backstay.job("topics")
    assert (job.state, job.counts.planned) == ("interrupted", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_that_comes_twice_is_one(backstay, number):
    """The same signal, passed on by a wrapper as well, counts as one and does not interrupt calls in flight."""
    process = _holding(backstay)

    process.send_signal(number)
    assert process.stderr.readline().startswith(b"Stopping: ")
    process.send_signal(number)
    _let_go(backstay)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, b"Left at once" in err) == (130, False)
    assert backstay.job("topics").counts.completed == int(out.split()[1]) == 4


@pytest.mark.skipif(shutil.which("timeout") is None, reason="there is no timeout command")
def test_a_run_under_timeout_stops_gracefully(backstay):
    """A run under `timeout`, which signals it twice, finishes its calls in flight."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(40)))
    words = ("run", "topics.csv", "--processor", "made:held", "--concurrency", "4")
    process = subprocess.Popen(
        ["timeout", "600", sys.executable, "-m", "backstay", *words],
        cwd=backstay.folder,
        env=backstay.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        until(lambda: len(list(backstay.folder.glob("held-*"))) == 4)
        process.send_signal(signal.SIGTERM)  # it does with it as when the time is up
        assert process.stderr.readline().startswith(b"Stopping: ")
        _let_go(backstay)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

    assert "Interrupted; all finished items are stored." in err.decode()
    assert backstay.job("topics").counts.completed == 4


def test_a_closing_terminal_is_no_second_press(backstay):
    """Two SIGHUPs of a closing terminal count as one signal."""
    process = _holding(backstay)

    process.send_signal(signal.SIGHUP)
    assert process.stderr.readline().startswith(b"Stopping: ")
    process.send_signal(signal.SIGHUP)
    _let_go(backstay)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert b"Left at once" not in err
    assert backstay.count("topics", "running") == 0


_IMPATIENT = """
import sys
from backstay.cli import interruption
from backstay.cli.main import main

interruption.GRACE_SECONDS, interruption._MAX_BLOCKED_SECONDS = 0.5, 0.5
sys.exit(main())
"""


def test_one_signal_ends_a_run_that_is_blocked_for_good(backstay):
    """A run whose loop is blocked for good ends after the grace period, and prints how to continue."""
    backstay.write("topics.csv", "Gardens")
    words = ("run", "topics.csv", "--processor", "made:stuck")
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPATIENT, *words],
        cwd=backstay.folder,
        env=backstay.environment(),
        stderr=subprocess.PIPE,
    )
    try:
        until((backstay.folder / "called").exists)

        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 130
    assert "Stopped at once; all finished items are stored. Continue with: backstay resume topics\n" in err.decode()


def test_an_interrupted_run_still_answers_in_json(backstay):
    """An interrupted run with --json prints its object."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(200)))
    process = backstay.start("run", "topics.csv", "--processor", "made:slow", "--concurrency", "4", "--json")
    until(lambda: backstay.count("topics", "completed") > 0)

    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    output = json.loads(out)
    assert output["ending"] == "stopped"
    assert output["job"]["completed"] + output["job"]["pending"] == 200


def test_a_killed_run_is_interrupted_and_found(backstay):
    """After kill -9 the job is shown as interrupted, and the reminder prints how to continue."""
    process = _running(backstay)
    process.kill()
    process.wait()

    assert backstay.job("topics").state == "interrupted"
    reminder = backstay("conversations", "list", "--limit", "1").err.splitlines()[-1]
    assert reminder.startswith("1 unfinished job: topics (interrupted, ")
    ended = backstay("resume", "--concurrency", "200")
    assert ended.code == 0
    assert ended.out.startswith("topics: 200 of 200 completed")


def test_interrupting_a_reading_command_is_quiet(backstay):
    """Ctrl-C in a command that reads ends it with 130 and no traceback."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb", buffering=0) as value:
        process = backstay.start("conversations", "export", "--ids-file", "-", stdin=reading)
        value.write(b"an id, and more to come\n")
        until(lambda: unread(reading) == 0)

        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err.decode().strip() == ""


def test_handlers_are_given_back(within, backstay):
    """A command that is called from a program restores the program's signal handlers."""
    backstay.write("topics.csv", "Gardens")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]

    within("run", "topics.csv", "--model", "scripted")

    assert [signal.getsignal(number) for number in numbers] == before
