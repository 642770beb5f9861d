"""Create a venv for each peer, so that its dependencies do not meet those of Backstay."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_WANTED = Path(__file__).parent / "peers"


class NotInstalled(Exception):
    """A peer could not be installed; the message says why."""


def python_of(peer: str) -> Path:
    """Return the Python of the peer's venv, made if it is missing or was made from other versions.

    Versions, those of its dependencies too, are in `peers/PEER.txt`.

    Raises:
        NotInstalled: the venv cannot be made, or a package cannot be had.
    """
    folder, expected = _ROOT / ".venv-peers" / peer, _WANTED / f"{peer}.txt"
    python, stamp = folder / "bin" / "python", folder / ".made"
    folder.parent.mkdir(exist_ok=True)
    # Two runs at once must not clear each other's work: a Python whose venv is half made is that of the machine.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == expected.read_text()):
            _execute(sys.executable, "-m", "venv", "--clear", str(folder))
            _execute(
                str(python),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "install",
                "--quiet",
                "--no-deps",  # the file has them all; a package that only trains, such as PyTorch, is left out
                "--requirement",
                str(expected),
            )
            stamp.write_text(expected.read_text())
    return python


def _execute(*command: str) -> None:
    # Should the venv be broken after all, pip refuses instead of changing the Python of the machine.
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        message = [line for line in (ended.stderr or ended.stdout).splitlines() if line.startswith("ERROR")]
        raise NotInstalled((message or ["pip said nothing"])[-1].removeprefix("ERROR: "))
