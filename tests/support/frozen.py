"""The story of a worker that sleeps through its lease."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from support.sql import is_server


def wake_up_beside_a_successor(scene, **options: object) -> list[subprocess.Popen[bytes]]:
    """Stop a worker past its lease, let another take over, wake the first; return both."""
    scene.items = 400
    options = {"seconds": 0.05, "lease": 0.6, **options}
    frozen = scene.start(**options)
    _until(lambda: len(scene.witness().calls) > 30)
    _freeze_between_transactions(scene, frozen)
    successor = scene.start(**options)
    _until(lambda: "worker_taken_over" in scene.errors() or successor.poll() is not None)
    time.sleep(0.3)
    frozen.send_signal(signal.SIGCONT)
    return [frozen, successor]


def _freeze_between_transactions(scene, process: subprocess.Popen[bytes]) -> None:
    # Stopped within a transaction it would keep the file's write lock, and nobody could do anything until it goes on.
    # A server ends a transaction whose client sleeps when somebody takes over.
    while True:
        process.send_signal(signal.SIGSTOP)
        if is_server(scene.database) or not _is_within_a_transaction(scene.database):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)


def _is_within_a_transaction(database: Path) -> bool:
    connection = apsw.Connection(str(database))
    connection.set_busy_timeout(200)
    try:
        connection.execute("BEGIN IMMEDIATE; ROLLBACK")
    except apsw.BusyError:
        return True
    finally:
        connection.close()
    return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
