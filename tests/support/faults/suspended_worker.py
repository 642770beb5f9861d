"""Workers that are stopped and continued, and the story of one that is frozen past its lease."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import apsw

from support.faults.scene import Scene
from support.harness.waiting import until
from support.stores.sql import ask, is_server


def wake_up_beside_a_successor(scene: Scene, **changed: Any) -> list[subprocess.Popen[bytes]]:
    """Stop a worker past its lease, let another reclaim it and do its work, continue the first; return both."""
    scene.items = 400
    options = {"seconds": 0.05, "lease": 1.2, **changed}
    frozen = scene.start(cold=True, **options)
    scene.until_called(frozen, 31)
    stop_between_transactions(scene, frozen)
    successor = scene.start(**options)
    until(lambda: _is_done_anew(scene) or successor.poll() is not None)
    frozen.send_signal(signal.SIGCONT)
    return [frozen, successor]


def _is_done_anew(scene: Scene) -> bool:
    """Return whether every item of the reclaimed worker has since been completed by another."""
    ((unfinished, interrupted),) = ask(
        scene.database,
        "SELECT coalesce(sum(CASE WHEN state <> 'completed' THEN 1 ELSE 0 END), 0), count(*) FROM items "
        "WHERE interruptions > 0",
    )
    return bool(interrupted > 0 and unfinished == 0)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that was started cold, and return when none of its threads runs any more."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def stop_between_transactions(scene: Scene, process: subprocess.Popen[bytes]) -> None:
    """Stop a worker where it keeps nobody from the database.

    Stopped within a transaction it would keep the file's write lock, and nobody could do anything until it goes on.
    A server ends a transaction whose client sleeps when another worker reclaims its lease.
    """
    while True:
        stop(process)
        if is_server(scene.database) or not _is_within_a_transaction(Path(scene.database)):
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
