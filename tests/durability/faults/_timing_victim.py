"""A victim that records how its event loop turns and when its calls end, in a file next to its ledger."""

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backstay import Conversation, Item, Work
from support.faults import victim

_TICK = 0.02


@dataclass
class Ticks:
    """Records of such a victim."""

    longest_gap: float = 0.0
    """Seconds between two turns of its loop, beyond those asked for."""
    ends: list[float] = field(default_factory=list)
    """When calls ended, on the monotonic clock that all processes share."""

    @classmethod
    def from_ledger(cls, ledger: Path) -> "Ticks":
        ticks = cls()
        for line in _file(ledger).read_text().splitlines():
            event = json.loads(line)
            ticks.longest_gap = max(ticks.longest_gap, event.get("gap", 0.0))
            if "ended" in event:
                ticks.ends.append(event["ended"])
        return ticks


def _file(ledger: Path) -> Path:
    return ledger.with_suffix(".ticks")


class _Noting(victim.Processor):
    """The victim's processor, which records the time of each answer."""

    async def __call__(self, item: Item, work: Work) -> Conversation:
        answer = await super().__call__(item, work)
        _note(ended=time.monotonic())
        return answer


def _note(**event: float) -> None:
    with _file(_OPTIONS.ledger).open("a") as file:
        file.write(json.dumps(event) + "\n")


async def _tick() -> None:
    longest, before = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(_TICK)  # the turns that are measured
        now = time.monotonic()
        if now - before - _TICK > longest:
            longest = now - before - _TICK
            _note(gap=longest)
        before = now


async def _work_and_exit(options: argparse.Namespace) -> None:
    ticker = asyncio.create_task(_tick())
    try:
        await work_and_exit(options)
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker


if __name__ == "__main__":
    _OPTIONS = victim.arguments(sys.argv[1:])
    work_and_exit = victim.work_and_exit
    victim.replace(victim, "Processor", _Noting)
    victim.replace(victim, "work_and_exit", _work_and_exit)
    victim.main()
