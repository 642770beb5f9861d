"""Threads for blocking processors."""

import subprocess
import sys
import threading
import time

import pytest

from backstay.batch import thread_pool
from backstay.batch.thread_pool import ThreadPool
from support.harness.waiting import PATIENCE_SECONDS, until


@pytest.fixture
def short_idle(monkeypatch):
    """Let idle threads end almost at once."""
    monkeypatch.setattr(thread_pool, "_IDLE_SECONDS", 0.01)


def _pool_threads():
    return [thread for thread in threading.enumerate() if thread.name == "backstay-processor"]


def test_thread_is_used_again():
    """Successive calls share one thread."""
    pool, used = ThreadPool(), []

    for number in range(20):
        pool.submit(lambda: used.append(threading.get_ident()))
        until(lambda number=number: len(used) == number + 1 and pool._idle == 1)

    assert len(set(used)) == 1


def test_calls_at_once_have_a_thread_each():
    """Concurrent calls have a thread each, so that they can meet at a barrier."""
    pool, barrier = ThreadPool(), threading.Barrier(31)

    for _ in range(30):
        pool.submit(lambda: barrier.wait(timeout=PATIENCE_SECONDS))

    barrier.wait(timeout=PATIENCE_SECONDS)


def test_idle_threads_end(short_idle):
    """Idle threads end, and the next call gets a new one."""
    pool, before = ThreadPool(), len(_pool_threads())
    finished = []

    pool.submit(lambda: finished.append(1))
    until(lambda: len(finished) == 1 and len(_pool_threads()) <= before)
    pool.submit(lambda: finished.append(2))
    until(lambda: len(finished) == 2)

    assert pool._idle in (0, 1)


def test_no_call_is_lost_between_idleness_and_work(monkeypatch):
    """A call reserved for a thread whose idle time has just ended still runs."""
    monkeypatch.setattr(thread_pool, "_IDLE_SECONDS", 0.0005)
    pool, lock, finished = ThreadPool(), threading.Lock(), []

    def call():
        with lock:
            finished.append(1)

    for number in range(1_500):
        pool.submit(call)
        if number % 3 == 0:
            time.sleep(0.0005)

    until(lambda: len(finished) == 1_500)


def test_hanging_call_does_not_keep_the_process(tmp_path):
    """The process ends although a call hangs."""
    script = tmp_path / "hang.py"
    script.write_text(
        "import threading\n"
        "from backstay.batch.thread_pool import ThreadPool\n"
        "started = threading.Event()\n"
        "def hang():\n"
        "    started.set()\n"
        "    threading.Event().wait()\n"
        "ThreadPool().submit(hang)\n"
        "started.wait()\n"
    )

    ended = subprocess.run([sys.executable, str(script)], timeout=PATIENCE_SECONDS, check=False)

    assert ended.returncode == 0
