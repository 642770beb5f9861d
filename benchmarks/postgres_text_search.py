"""On a server: how long does a search take? `text_search.py` says how it is measured.

The server is the one that the system has installed, since it needs the extension pg_trgm.
"""

import asyncio

import psycopg

from measurement import parse, print_heading, scratch
from servers import database, described, server
from support.stores.postgres import system_programs
from text_search import Words, measure_searches, searches_for, write_texts

QUESTION = "On PostgreSQL: how long does a search take, with a text index and without?"


def main() -> None:
    options = parse(QUESTION, items=100_000, rounds=1)
    print_heading(QUESTION, "postgres_text_search.py", options)
    programs = system_programs()
    if programs is None:
        raise SystemExit("No PostgreSQL server with pg_trgm is installed; on Debian: apt-get install postgresql")
    with (
        scratch(options.folder) as folder,
        server(options.folder, programs=programs) as running,
        database(running) as url,
    ):
        print(f"{described(running)}.\n")
        source, words = folder / "conversations.jsonl", Words()
        write_texts(source, options.items, words)
        asyncio.run(
            measure_searches(source, url, searches_for(words, options.items), options.items, lambda: _bytes_of(url))
        )


def _bytes_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        return int(size)


if __name__ == "__main__":
    main()
