"""A PostgreSQL server for benchmarks: that of the tests, but one that waits for its disk, as a server does.

It runs with the settings that PostgreSQL comes with, so that autovacuum, checkpoints and whole pages in the log are
paid for.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.stores.postgres import Server

SCHEMA = "backstay"
_AS_IT_COMES = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
}
_numbers = count(1)


@contextmanager
def server(parent: Path, *, programs: Path | None = None) -> Iterator[Server]:
    """Run a server, of these `programs` if they are given, in a folder of its own for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-bench-postgres-", dir=parent))
    running = Server(folder, _AS_IT_COMES, programs=programs)
    try:
        yield running.make()
    finally:
        running.end()


@contextmanager
def database(running: Server) -> Iterator[str]:
    """Make a migrated database, give its URL, and drop it after. What it wrote is on disk before and after."""
    with fresh(running) as url:
        migrate(ServerAddress.from_url(url), SCHEMA)
        yield url


@contextmanager
def fresh(running: Server) -> Iterator[str]:
    """Create a database like `database`, but empty."""
    name = f"bench_{next(_numbers)}"
    with psycopg.connect(running.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield running.url(name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def described(running: Server) -> str:
    """Describe the server and its relevant settings."""
    with psycopg.connect(running.url(), autocommit=True) as connection:
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "autovacuum", "shared_buffers")
        values = [f"{name} {connection.execute(f'SHOW {name}').fetchone()[0]}" for name in names]
    return f"PostgreSQL, {', '.join(values)}; through psycopg {psycopg.__version__}"
