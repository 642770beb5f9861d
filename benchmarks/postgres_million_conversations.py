"""On a server: how long does the first page of a list take? `million_conversations.py` says how it is measured."""

import asyncio

import psycopg

from measurement import parse, print_heading, scratch
from million_conversations import measure_lists, write_conversations
from servers import database, described, server

QUESTION = "On PostgreSQL: how long does the first page of a list take?"


def main() -> None:
    options = parse(QUESTION, items=200_000, rounds=1)
    print_heading(QUESTION, "postgres_million_conversations.py", options)
    with scratch(options.folder) as folder, server(options.folder) as running, database(running) as url:
        print(f"{described(running)}.\n")
        source = folder / "conversations.jsonl"
        write_conversations(source, options.items)
        asyncio.run(measure_lists(source, url, options.items, lambda: _bytes_of(url)))


def _bytes_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        return int(size)


if __name__ == "__main__":
    main()
