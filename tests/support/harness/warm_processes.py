"""Processes that start warm: forked from an interpreter that has already imported Backstay.

Importing is most of what a short command costs, and the tests run thousands. A warm process runs a module as
`python -m` does, with arguments, environment, folder, streams and memory of its own, and can be killed as any other.
Tests of the start itself, or of what is imported, start a cold one.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.harness.warm_start import Descriptors, become

_FITS_IN_A_PIPE = 65_536
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["backstay.cli.app", "backstay.server", "backstay.storage.postgres.store", "uvicorn"])
# Now, as a test may have set a folder for temporary files whose path is too long for a socket.
multiprocessing.forkserver.ensure_running()


class WarmProcess(subprocess.Popen[bytes]):
    """A module that runs; it is waited for and killed as a `Popen`, and has no pipes.

    Args:
        module: What `python -m` would be given.
        words: Its arguments.
        streams: Descriptors of its standard input, output and error.
        cwd: The folder it runs in.
        env: Its whole environment.
        start_new_session: As of `Popen`.
    """

    def __init__(  # no process of Popen's own is made
        self,
        module: str,
        words: Sequence[str],
        *,
        streams: tuple[int, int, int],
        cwd: Path,
        env: Mapping[str, str],
        start_new_session: bool = False,
    ) -> None:
        descriptors = Descriptors(streams)
        self._process = _CONTEXT.Process(
            target=become, args=(module, tuple(words), descriptors, str(cwd), dict(env), start_new_session), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.args, self.pid = [module, *words], self._process.pid
        self.stdin = self.stdout = self.stderr = None
        self.returncode: int | Any = None

    def poll(self) -> int | None:
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


def run(
    module: str, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes, timeout: float
) -> "subprocess.CompletedProcess[bytes]":
    """Run a module to its end, as `subprocess.run` does with `capture_output`."""
    assert len(stdin) <= _FITS_IN_A_PIPE, "more than a pipe holds would have to be written while it runs"
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            os.write(writing, stdin)
            os.close(writing)
            process = WarmProcess(module, words, streams=(reading, out.fileno(), err.fileno()), cwd=cwd, env=env)
        finally:
            os.close(reading)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read(), err.read())
