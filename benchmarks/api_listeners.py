"""Does a job go slower when many listen to its events?"""

import asyncio
import time
from functools import partial
from pathlib import Path

import aiohttp

from api_server import Serving, serving
from measurement import measure, parse, print_heading, print_table, ratios, spread

QUESTION = "Does a job go slower when two hundred listen to it?"

_LISTENERS = 200
_ALONE = "no listener"
_HEARD = f"{_LISTENERS} listen"
_PACED = ", an item takes 20 ms at concurrency 32"
_FLAT_OUT = ", an item takes no time"


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "api_listeners.py", options)
    measurements = [
        partial(_measured, listeners=listeners, processor=processor, items=items, name=name + what)
        for processor, what, items in (
            ("scripted:0.02", _PACED, options.items // 2),
            ("scripted", _FLAT_OUT, options.items),
        )
        for listeners, name in ((0, _ALONE), (_LISTENERS, _HEARD))
    ]
    measured = measure(measurements, rounds=options.rounds, folder=options.folder)
    rows = [
        [name + what, spread(measured[name + what]), spread(ratios(measured, name + what, _ALONE + what), 2)]
        for what in (_PACED, _FLAT_OUT)
        for name in (_ALONE, _HEARD)
    ]
    print_table(["job", "items a second", "relative to the job alone"], rows)


def _measured(folder: Path, *, listeners: int, processor: str, items: int, name: str) -> dict[str, float]:
    with serving(folder, 'processors = ["scripted", "scripted:0.02"]\n') as server:
        return {name: asyncio.run(_rate(server, listeners, processor, items))}


async def _rate(server: Serving, listeners: int, processor: str, items: int) -> float:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, headers=server.headers, connector=connector) as client:
        rows = [{"topic": f"t{number}"} for number in range(items)]
        body = {"jobId": "job", "items": rows, "processor": processor, "start": False}
        async with client.post("/api/batches", json=body) as answer:
            assert answer.status == 201, await answer.text()
        heard = [asyncio.create_task(_listen(client)) for _ in range(listeners)]
        await asyncio.sleep(2)
        started = time.perf_counter()
        await client.post("/api/batches/job/resume", json={"concurrency": 32})
        await _listen(client)
        seconds = time.perf_counter() - started
        await asyncio.gather(*heard)
        return items / seconds


async def _listen(client: aiohttp.ClientSession) -> None:
    """Read events to the end of the job."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with client.get("/api/batches/job/events", timeout=timeout) as stream:
        async for _ in stream.content.iter_any():
            pass


if __name__ == "__main__":
    main()
