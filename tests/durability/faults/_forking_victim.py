"""A victim whose first call forks a child, which inherits every descriptor the victim has open.

`--doing` says what the child does: `leaves@0` ends at once, `closes@0` closes all it inherited and stays, `stays@0` is
a process of `multiprocessing` that outlives its parent. Its process id is written to a file beside the ledger.
`--without lockf` locks in a way that a child inherits.
"""

import asyncio
import fcntl
import logging
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path

from backstay import Conversation, Item, Work
from support.faults import victim

_LONG = 120  # seconds after which a child exits if nothing ended it


def child_of(ledger: Path) -> int | None:
    """Return the child's process id, once it is there."""
    file = _file(ledger)
    return int(file.read_text()) if file.exists() else None


def _file(ledger: Path) -> Path:
    return ledger.with_suffix(".child")


def _say() -> None:
    unfinished = _file(_OPTIONS.ledger).with_suffix(".unfinished")
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(_file(_OPTIONS.ledger))


def _leaves() -> None:
    child = os.fork()
    if child == 0:
        _say()
        os._exit(0)
    os.waitpid(child, 0)


def _closes() -> None:
    if os.fork() == 0:
        os.closerange(3, 4096)
        _say()
        time.sleep(_LONG)  # hangs until the test ends it
        os._exit(0)


def _stay() -> None:
    _say()
    time.sleep(_LONG)  # hangs until the test ends it


def _stays() -> None:
    multiprocessing.get_context("fork").Process(target=_stay).start()


_CHILDREN = {"leaves": _leaves, "closes": _closes, "stays": _stays}


class _Forking(victim.Processor):
    """The victim's processor, with a child."""

    async def __call__(self, item: Item, work: Work) -> Conversation:
        if item.id == "i0" and work.attempt == 1:
            _CHILDREN[_WHAT]()
        return await super().__call__(item, work)


if __name__ == "__main__":
    # Newer releases of Python warn of a fork in a process that has threads; that is what this is about.
    warnings.simplefilter("ignore", DeprecationWarning)
    _OPTIONS = victim.arguments(sys.argv[1:])
    _WHAT, _OPTIONS.doing = _OPTIONS.doing.removesuffix("@0"), ""
    victim.replace(victim, "Processor", _Forking)
    if _OPTIONS.without == "lockf":
        victim.replace(fcntl, "lockf", fcntl.flock)
    logging.basicConfig(format="%(message)s")
    asyncio.run(victim.work_and_exit(_OPTIONS))
