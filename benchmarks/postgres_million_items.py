"""What does a job of a million items cost on a server? Measured as on SQLite: `million_items.py` says how."""

from pathlib import Path

import psycopg

from measurement import parse, print_heading, scratch
from million_items import Figures, measure_job, per_item, print_figures, write_items
from servers import Server, database, described, server

QUESTION = "On PostgreSQL: what does a job of a million items cost?"


def main() -> None:
    options = parse(QUESTION, items=1_000_000, rounds=1)
    print_heading(QUESTION, "postgres_million_items.py", options)
    with scratch(options.folder) as folder, server(options.folder) as running:
        source = folder / "items.jsonl"
        write_items(source, options.items)
        figures = [_measure(running, source, options.items) for _ in range(options.rounds)]
        print(f"{described(running)}.\n")
    print_figures(figures)


def _measure(running: Server, source: Path, count: int) -> Figures:
    with database(running) as large, database(running) as small:
        figures = measure_job(source, large, small, count)
        with psycopg.connect(large) as connection:
            (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        return {**figures, **per_item(size, count)}


if __name__ == "__main__":
    main()
