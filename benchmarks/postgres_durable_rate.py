"""How many finished conversations a second does the engine store on a server, compared with a bare loop?"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import workload
from bare_psycopg import bare_postgres
from durable_rate import Run
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread
from servers import Server, database, described, server

QUESTION = "On PostgreSQL: how many conversations a second does the engine keep?"

_ENGINE = "engine, concurrency 256"
_WHOLE = "the same, with creating the job and cleaning up after it"
_BARE = "bare loop, 64 a transaction"


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "postgres_durable_rate.py", options)
    with server(options.folder) as running:
        measurements: list[Measurement] = [
            _on(running, partial(_engine, name=_ENGINE, items=options.items, concurrency=256)),
            _on(running, partial(_bare, name=_BARE, items=options.items, group=64)),
            _on(running, partial(_bare, name="bare loop, 256 a transaction", items=options.items, group=256)),
            *(
                _on(running, partial(_engine, name=f"engine, concurrency {many}", items=few, concurrency=many))
                for many, few in ((64, max(1, options.items // 2)), (16, max(1, options.items // 4)))
            ),
        ]
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
        print(f"{described(running)}.\n")
    print_table(
        ["way", "conversations a second", "relative to the bare loop"],
        [[name, spread(figures), spread(ratios(measured, name, _BARE), 2)] for name, figures in measured.items()],
    )


def _on(running: Server, measurement: Callable[[str], dict[str, float]]) -> Measurement:
    """Measure in a database that is made for it."""

    def measure_once(_: Path) -> dict[str, float]:
        with database(running) as url:
            return measurement(url)

    return measure_once


def _engine(url: str, *, name: str, items: int, concurrency: int) -> dict[str, float]:
    run = Run(workload.converse_async)
    asyncio.run(run.go(url, items, concurrency))
    rates = {name: items / (run.ended_at - run.started_at)}
    if name == _ENGINE:
        rates[_WHOLE] = items / (run.cleaned_at - run.asked_at)
    return rates


def _bare(url: str, *, name: str, items: int, group: int) -> dict[str, float]:
    return {name: bare_postgres(url, items=items, group=group)}


if __name__ == "__main__":
    main()
