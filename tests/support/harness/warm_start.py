"""What a warm process does before its module runs; see `warm_processes`."""

import os
import runpy
import signal
import sys
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[2]
_OF_THE_TESTS = ("", str(_TESTS), str(_TESTS.parent), str(Path(sys.executable).parent))


class Descriptors:
    """Open files for the process; pickled while it is started, which is when they are passed on."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self._numbers = numbers

    def __reduce__(self) -> Any:
        return received, tuple(DupFd(number) for number in self._numbers)


def received(*passed: Any) -> tuple[int, ...]:
    return tuple(each.detach() for each in passed)


def become(
    module: str, words: tuple[str, ...], descriptors: tuple[int, ...], cwd: str, env: dict[str, str], own_session: bool
) -> None:
    """Make this process what it would be if it had been started to run that module, and run it."""
    if own_session:
        os.setsid()
    for number, passed in enumerate(descriptors):
        os.dup2(passed, number)
        os.close(passed)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.argv = [module, *words]
    added = env["PYTHONPATH"].split(os.pathsep) if "PYTHONPATH" in env else []
    sys.path[:] = [cwd, *added, *(folder for folder in sys.path if folder not in (*_OF_THE_TESTS, *added))]
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 -- open to the end
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    runpy.run_module(module, run_name="__main__", alter_sys=True)
