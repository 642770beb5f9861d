"""A program that works on a job and may be killed: what the fault tests start, as a process of its own.

    python -m support.faults.victim --database D --ledger L --items 100 …

It can be told to kill itself around its N-th commit, to run processors that misbehave, and to switch off one of the
engine's protections (`--without`), which is how the tests prove that they would notice.
"""

import argparse
import asyncio
import ctypes
import fcntl
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from backstay import Backstay, Conversation, Item, JobProgress, StopSignal, Turn, Work
from backstay.batch.runner import BatchResult
from backstay.settings import Settings
from support.faults.ledger import Ledger


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True, help="a file, or the URL of a server's database")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.005, help="of each call, on average")
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--doing", default="", help="what some items do, as exit@3,hang@7")
    parser.add_argument("--timeout", type=float, default=600.0)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--die", default="", help="kill itself before:N or after:N commits")
    parser.add_argument("--freeze", type=int, default=0, help="stop within so many-th commit of results")
    parser.add_argument("--without", default="", help="protections to switch off; see sabotage")
    parser.add_argument("--gate", type=Path, help="a file to lock before starting, so that many start at once")
    return parser.parse_args(argv)


def items(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"id": f"i{number}", "topic": f"topic {number}"}


replace: Callable[[object, str, object], None] = setattr
"""Replaces what a module or class of the engine has under a name, by something that need not be of the same type."""


class Processor:
    """Answers with a nonce that the ledger knows; some items misbehave."""

    def __init__(self, ledger: Ledger, seconds: float, doing: dict[str, str]) -> None:
        self._ledger = ledger
        self._seconds = seconds
        self._doing = doing

    async def __call__(self, item: Item, work: Work) -> Conversation:
        nonce = os.urandom(8).hex()
        self._ledger.called(item.id, work.attempt, nonce)
        await asyncio.sleep(random.uniform(0, 2 * self._seconds))  # simulates a slow call
        does = self._doing.get(item.id, "answer")
        if does != "answer":
            self._ledger.misbehaves(does)
        await _MISBEHAVIOUR[does]()
        name = "taken" if does == "clash" else None
        return Conversation([Turn("user", item.topic), Turn("assistant", nonce)], id=name)


async def _answer() -> None:
    return


async def _exit() -> None:
    os._exit(7)


async def _segfault() -> None:
    ctypes.string_at(0)


async def _hang() -> None:
    await asyncio.Event().wait()


async def _block() -> None:
    time.sleep(3)  # blocks the loop for a while


async def _stuck() -> None:
    time.sleep(600)  # hangs until killed


async def _slow() -> None:
    await asyncio.sleep(3)  # simulates a slow call


async def _stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(60)  # longer than the call's timeout
        except asyncio.CancelledError:
            continue


_MISBEHAVIOUR: dict[str, Callable[[], Awaitable[None]]] = {
    "answer": _answer,
    "clash": _answer,
    "exit": _exit,
    "segfault": _segfault,
    "hang": _hang,
    "block": _block,
    "stuck": _stuck,
    "slow": _slow,
    "stubborn": _stubborn,
}


async def work(options: argparse.Namespace) -> BatchResult:
    ledger = Ledger(options.ledger)
    doing = {f"i{n}": what for what, n in (pair.split("@") for pair in options.doing.split(",") if pair)}
    stop = StopSignal()

    def heed(*_: object) -> None:
        stop.request()
        ledger.told_to_stop()

    signal.signal(signal.SIGTERM, heed)
    settings = Settings(database_url=str(options.database), lease_seconds=options.lease)

    def show(progress: JobProgress) -> None:
        ledger.reported(progress.completed)

    async with Backstay(settings) as backstay:
        return await backstay.batches.run(
            "job",
            items(options.items),
            Processor(ledger, options.seconds, doing),
            concurrency=options.concurrency,
            timeout_seconds=options.timeout,
            grace_seconds=options.grace,
            on_progress=show,
            stop=stop,
        )


def harm(options: argparse.Namespace) -> None:
    from support.faults import sabotage  # knows both databases; who is whole needs not load the other

    if options.without:
        sabotage.switch_off(options.without)
    if options.die:
        when, number = options.die.split(":")
        sabotage.die_at_commit(when, int(number))
    if options.freeze:
        sabotage.freeze_within_commit(options.freeze)


def main() -> None:
    options = arguments(sys.argv[1:])
    if options.without or options.die or options.freeze:
        harm(options)
    logging.basicConfig(format="%(message)s")
    if options.gate:
        Ledger(options.ledger).arrived()
        with options.gate.open() as gate:
            fcntl.flock(gate, fcntl.LOCK_SH)
    asyncio.run(work_and_exit(options))


async def work_and_exit(options: argparse.Namespace) -> None:
    result = await work(options)
    # Here and not after the loop's end, which would wait for a call that does not heed its cancellation.
    os._exit({"finished": 0, "stopped": 130}.get(result.ending, 1))


if __name__ == "__main__":
    main()
