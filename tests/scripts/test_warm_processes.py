"""A warm process is as a cold one, except that it need not import."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.harness import warm_processes
from support.harness.warm_processes import WarmProcess

_SEEN = """
import json, os, signal, sys
import backstay
seen = [
    sys.argv[1:], dict(os.environ), os.getcwd(), sys.path, __name__, sys.stdin.read(),
    [[stream.encoding, stream.errors, stream.line_buffering, stream.isatty()] for stream in
     (sys.stdin, sys.stdout, sys.stderr)],
    [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)],
    [entry for entry in os.listdir("/proc/self/fd") if int(entry) < 3],
]
print(json.dumps(seen, indent=1))
print("an error", file=sys.stderr)
sys.exit(7)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment that differs from the one of the tests; its folder holds a module `seen`."""
    (tmp_path / "seen.py").write_text(_SEEN)
    return {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8", "ANOTHER": "ünïcode \udcff"}


def test_module_sees_what_it_would_see_in_a_cold_process(tmp_path, environment):
    """Arguments, environment, folder, search path, streams, signals and the exit status are the same."""
    words = ["--option", "wörd"]
    cold = subprocess.run(
        [sys.executable, "-m", "seen", *words],
        cwd=tmp_path, env=environment, input="ïn".encode(), capture_output=True, check=False,
    )  # fmt: skip

    warm = warm_processes.run("seen", words, cwd=tmp_path, env=environment, stdin="ïn".encode(), timeout=60)

    assert warm.stdout.decode() == cold.stdout.decode()
    assert (warm.returncode, warm.stderr) == (cold.returncode, cold.stderr) == (7, b"an error\n")


def test_warm_process_can_be_killed(tmp_path, environment):
    """It ends by the signal, and says so."""
    (tmp_path / "endless.py").write_text("import signal\nprint('here', flush=True)\nsignal.pause()\n")
    reading, writing = os.pipe()
    with Path(os.devnull).open() as nothing, os.fdopen(reading) as out:
        process = WarmProcess("endless", [], streams=(nothing.fileno(), writing, 2), cwd=tmp_path, env=environment)
        os.close(writing)
        assert out.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)

        process.kill()

        assert process.wait(60) == -signal.SIGKILL
        assert out.read() == ""
