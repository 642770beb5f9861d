"""Execution of a command that prints a key: without a terminal, bounded in time and output, leaving no process."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO

MAX_OUTPUT_BYTES = 65_536
_POLL_SECONDS = 0.05  # between checks whether the command has ended or must be stopped


class KeyCommandFailed(Exception):
    """A command without a usable result. The message continues after the command's name, and quotes no output."""


def run_key_command(command: str, directory: Path, *, seconds: float, stop: Event) -> bytes:
    """Run a command line in the shell and return the output. When the command ends, its process group is killed.

    Another thread can set `stop` to end the command at once.

    Raises:
        KeyCommandFailed: the command cannot be run, fails, takes too long, prints too much, or was stopped.
    """
    try:
        process = subprocess.Popen(  # noqa: S602 - the user's own settings say what to run
            command,
            shell=True,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # The error output may contain the key.
            stderr=subprocess.DEVNULL,
            # Without a terminal, the command cannot wait for typed input.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise KeyCommandFailed(f"cannot be run: {getattr(error, 'strerror', None) or error}") from None
    try:
        output = _read_output(process, process.stdout, seconds, stop)  # type: ignore[arg-type]  # it is a pipe
    finally:
        _kill(process)
    if process.returncode != 0:
        raise KeyCommandFailed(f"ended with status {process.returncode}; run it by hand to see why")
    return output


def _read_output(process: "subprocess.Popen[bytes]", out: IO[bytes], seconds: float, stop: Event) -> bytes:
    output, is_open = b"", True
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        while True:
            # Checked before reading, so that the output is complete even if a child keeps the pipe open.
            has_ended = process.poll() is not None
            if is_open and selector.select(0 if has_ended else _POLL_SECONDS):
                block = os.read(out.fileno(), MAX_OUTPUT_BYTES)
                output, is_open = output + block, bool(block)
            elif has_ended:
                return output
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
            if len(output) > MAX_OUTPUT_BYTES:
                raise KeyCommandFailed(
                    f"prints more than {MAX_OUTPUT_BYTES:,} bytes, which is no key; have it print the key alone"
                )
            if stop.is_set():
                raise KeyCommandFailed("was stopped before it ended")
            if time.monotonic() > deadline:
                raise KeyCommandFailed(
                    f"did not end within {seconds:g} s; it has no terminal to ask for anything. Run it by hand to see "
                    "what it waits for"
                )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a command with all processes it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
