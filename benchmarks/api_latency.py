"""How long does the API take to answer, and does it matter how much is stored?"""

import argparse
import asyncio
import random
import statistics
import time
from pathlib import Path

import aiohttp

from api_server import Serving, library, serving, until
from measurement import parse, print_heading, print_table, scratch

QUESTION = "How long does the API take to answer?"

_RATE = 100  # requests a second, sent when they are due, whether or not others are answered
_SECONDS = 20
_SMALL = 10_000
_KINDS = ("list", "show", "status")


def main() -> None:
    options = parse(QUESTION, items=1_000_000, rounds=1)
    print_heading(QUESTION, "api_latency.py", options)
    table, cpu = [], []
    for count in (_SMALL, options.items):
        with scratch(options.folder) as folder:
            ids = library(folder, count)
            durations, used = _measured(folder, ids, options)
            cpu.append(used)
            for kind, milliseconds in durations.items():
                quantiles = statistics.quantiles(milliseconds, n=100)
                table.append(
                    [
                        f"{kind}, {count:,} stored",
                        f"{len(milliseconds):,}",
                        *(f"{quantiles[at - 1]:.1f}" for at in (50, 95, 99)),
                        f"{max(milliseconds):.1f}",
                    ]
                )
    print(f"{_RATE} requests a second for {_SECONDS} seconds, from the moment each was due, in milliseconds.\n")
    print_table(["request", "requests", "median", "95 %", "99 %", "longest"], table)
    print(
        f"CPU time of the server, a request: {cpu[0]:.2f} ms with {_SMALL:,} stored, {cpu[1]:.2f} ms with "
        f"{options.items:,}, which is {cpu[1] / cpu[0]:.2f} times that.\n"
    )


def _measured(folder: Path, ids: list[str], options: argparse.Namespace) -> tuple[dict[str, list[float]], float]:
    with serving(folder) as server:
        durations: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        before = server.cpu_seconds()
        for number in range(options.rounds):
            asyncio.run(_open_loop(server, ids, durations, is_first=number == 0))
        used = server.cpu_seconds() - before
        return durations, 1_000 * used / sum(len(times) for times in durations.values())


async def _open_loop(server: Serving, ids: list[str], durations: dict[str, list[float]], *, is_first: bool) -> None:
    chance = random.Random(1)
    async with aiohttp.ClientSession(server.url, headers=server.headers) as client:
        items = [{"topic": f"t{number}"} for number in range(100)]
        body = {"jobId": "job", "items": items, "processor": "scripted", "start": False}
        if is_first:
            async with client.post("/api/batches", json=body) as answer:
                assert answer.status == 201, await answer.text()
        for warm_up in ("/api/conversations", f"/api/conversations/{ids[0]}", "/api/batches/job"):
            await _asked(client, warm_up)
        beginning = time.perf_counter() + 0.5
        async with asyncio.TaskGroup() as group:
            for number in range(_RATE * _SECONDS):
                kind = _KINDS[number % len(_KINDS)]
                path = {
                    "list": f"/api/conversations?limit=50&cursor={chance.randrange(60, len(ids) * 10)}",
                    "show": f"/api/conversations/{chance.choice(ids)}",
                    "status": "/api/batches/job",
                }[kind]
                due = beginning + number / _RATE
                await until(due)
                group.create_task(_timed(client, path, due, durations[kind]))


async def _timed(client: aiohttp.ClientSession, path: str, due: float, durations: list[float]) -> None:
    await _asked(client, path)
    durations.append(1_000 * (time.perf_counter() - due))


async def _asked(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        await answer.read()
        assert answer.status == 200, path


if __name__ == "__main__":
    main()
