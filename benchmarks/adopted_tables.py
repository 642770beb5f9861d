"""How much slower is everything on adopted tables of an app than on built-in ones?"""

import asyncio
import json
import os
import time
from functools import partial
from pathlib import Path

import psycopg

from backstay import Backstay, Selection
from backstay.library.ids import new_id
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread
from servers import Server, database, described, server

QUESTION = "On PostgreSQL: how fast is a library in adopted tables?"

_OWNER = "00000000-0000-4000-8000-00000000000a"
_ALL = Selection(everything=True)
_TURNS = 4
_APP = """
CREATE TABLE public.chats (
    chat_id uuid PRIMARY KEY, user_id uuid NOT NULL, title text, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE public.messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id uuid NOT NULL REFERENCES public.chats ON DELETE CASCADE,
    sender text NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON public.messages (chat_id);
"""
_COLUMNS = {
    "id": "chat_id", "owner": "user_id", "topic": "title", "turns.role": "sender", "turns.content": "body",
    "turns.order": "created_at",
}  # fmt: skip
_STEPS = ("store", "list", "search", "backup", "delete", "restore")


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=3)
    print_heading(QUESTION, "adopted_tables.py", options)
    with server(options.folder) as running:
        measurements: list[Measurement] = [
            partial(_measure, running=running, items=options.items, is_adopted=is_adopted)
            for is_adopted in (False, True)
        ]
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
        print(f"{described(running)}.\n")
    print_table(
        ["step", "on built-in tables, a second", "on adopted tables, a second", "relative to built-in ones"],
        [
            [step, spread(measured[_name(step, is_adopted=False)]), spread(measured[_name(step, is_adopted=True)]),
             spread(ratios(measured, _name(step, is_adopted=True), _name(step, is_adopted=False)), 2)]
            for step in _STEPS
        ],
    )  # fmt: skip


def _name(step: str, *, is_adopted: bool) -> str:
    return f"{step}, {'adopted' if is_adopted else 'built-in'}"


def _measure(folder: Path, *, running: Server, items: int, is_adopted: bool) -> dict[str, float]:
    os.environ["BACKUP_DIRECTORY"] = str(folder / "backups")
    with database(running) as url:
        if is_adopted:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(_APP)
            asyncio.run(Backstay.open(url, owner=_OWNER).adopt("public.chats", "public.messages", _COLUMNS))
        took = asyncio.run(_steps(url, folder / "rows.jsonl", items))
    return {_name(step, is_adopted=is_adopted): items / seconds for step, seconds in took.items()}


async def _steps(url: str, source: Path, items: int) -> dict[str, float]:
    """Return how many seconds each step took; listing and searching are for one page, as often as makes all."""
    _write(source, items)
    took = {}
    async with Backstay.open(url, owner=_OWNER) as backstay:
        took["store"] = await _timed(backstay.conversations.import_file(source))
        await asyncio.to_thread(_settle, url)
        took["list"] = await _timed(_pages(backstay, _ALL))
        took["search"] = await _timed(_pages(backstay, Selection(search="lighthouse")))
        took["backup"] = await _timed(backstay.backups.create(_ALL))
        plan = await backstay.conversations.plan_delete(_ALL)
        started = time.perf_counter()
        deleted = await backstay.conversations.delete(plan)
        took["delete"] = time.perf_counter() - started
        assert deleted.deleted == items, deleted
        took["restore"] = await _timed(backstay.backups.restore(deleted.backup_id))
    return took


async def _timed(work) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _pages(backstay: Backstay, selection: Selection) -> None:
    before = None
    while page := await backstay.conversations.list(selection, before=before, limit=500):
        before = page[-1].cursor


def _settle(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _write(source: Path, items: int) -> None:
    with source.open("w") as file:
        for number in range(items):
            turns = [
                {"role": ("user", "assistant")[turn % 2], "content": f"{number} {turn} " + "some words " * 40}
                for turn in range(_TURNS)
            ]
            document = {"id": new_id(), "topic": f"a lighthouse, number {number}", "conversation_turns": turns}
            file.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
