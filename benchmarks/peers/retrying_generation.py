"""A client that retries each call by itself, as clients of providers do when nothing more is asked of them.

`generate`: as many tasks as calls may be under way take items from the file; each posts, and appends the answer to a
file. A refused call or one without an answer is made again up to five times, after the time that `Retry-After` names
where that is at most a minute, or 0.5 s that double up to 8 s, less up to a quarter at random: the rules of openai's
Python library, which makes two more tries by itself. An item whose last try fails is lost.
"""

import asyncio
import importlib.metadata
import random
from collections.abc import Iterator
from typing import Any, TextIO

import aiohttp

import assignment

_MAX_RETRIES = 5


async def _generate(out: TextIO, items: Iterator[dict[str, Any]], base_url: str, in_flight: int) -> assignment.Spent:
    clock = assignment.Clock()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for item in items:
                if (text := await _ask(session, base_url, item)) is not None:
                    out.write(f"{text}\n")

        await asyncio.gather(*(work() for _ in range(in_flight)))
    return clock.spent()


async def _ask(session: aiohttp.ClientSession, base_url: str, item: dict[str, Any]) -> str | None:
    body = {"model": assignment.MODEL, "messages": [{"role": "user", "content": assignment.prompt(item)}]}
    for retry in range(1 + _MAX_RETRIES):
        named = None
        try:
            async with session.post(f"{base_url}/chat/completions", json=body) as reply:
                if reply.status == 200:
                    return await reply.text()
                named = reply.headers.get("Retry-After")
                await reply.read()
        except aiohttp.ClientError:
            pass
        if retry < _MAX_RETRIES:
            await asyncio.sleep(_delay(retry, float(named) if named is not None else None))
    return None


def _delay(retry: int, named: float | None) -> float:
    if named is not None and 0 < named <= 60:
        return named
    return min(8.0, 0.5 * 2.0**retry) * random.uniform(0.75, 1.0)


def main() -> None:
    options = assignment.parse(__doc__, ["generate"])
    path = options.folder / "answers.jsonl"
    with path.open("w") as out:
        spent = asyncio.run(_generate(out, assignment.items(options.items), options.base_url, options.in_flight))
    with path.open() as stored:
        count = sum(1 for _ in stored)
    versions = {"aiohttp": importlib.metadata.version("aiohttp")}
    assignment.answer(seconds=spent.seconds, cpu_seconds=spent.cpu_seconds, items=count, versions=versions)


if __name__ == "__main__":
    main()
