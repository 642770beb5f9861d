"""All kinds of database. Every test of a store runs on each; another kind is one more entry here."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from backstay.backup.store import BackupStores
from backstay.batch.store import BatchStores
from backstay.coordination.store import ExpiringValueStore
from backstay.legacy.imported_jobs import WaitingImportStore
from backstay.library.conversation_index import IndexStore
from backstay.library.edits import EditStore
from backstay.library.lists import ListStore
from backstay.library.reviews import ReviewStore
from backstay.library.store import ConversationStore
from backstay.storage.postgres import PostgresStore
from backstay.storage.sqlite import SqliteStore
from backstay.storage.sqlite.schema_migration import prepare
from support.fakes.clock import MovableClock
from support.faults.batch_invariants import violations
from support.stores import adopted_database, pgbouncer, postgres
from support.stores.sql import ask


@dataclass(slots=True)
class OpenStore:
    """Fresh, started store."""

    batches: BatchStores
    conversations: ConversationStore
    reviews: ReviewStore
    edits: EditStore
    lists: ListStore
    index: IndexStore
    backups: BackupStores
    notes: ExpiringValueStore
    waiting_imports: WaitingImportStore
    clock: MovableClock
    sql: Callable[..., list[tuple[Any, ...]]]
    """Runs one statement on the database as another program would, past Backstay."""
    violations: Callable[..., list[str]]
    """What of our promises the stored rows break just now."""
    is_left_unchecked: bool = False
    """The test itself took away what the promises are checked by."""


DatabaseFactory = Callable[[Path], AbstractContextManager[Path | str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Kind of database."""

    name: str
    missing: Callable[[], str | None]
    """Says why it cannot be tested here; None when it can."""
    open: Callable[[Path], AbstractAsyncContextManager[OpenStore]]
    """Opens a fresh store in a folder, and closes it."""
    fresh_database: DatabaseFactory
    """Makes a fresh database, in a folder where it is a file, and says where: a path or a URL."""


@cache
def _empty_sqlite() -> bytes:
    """Create an empty database once; a copy of it is several times faster than a new one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        prepare(path, create=True)
        return path.read_bytes()


def _opened(store: SqliteStore | PostgresStore, clock: MovableClock, sql: Any, broken: Any) -> OpenStore:
    return OpenStore(
        store.batches,
        store.conversations,
        store.reviews,
        store.edits,
        store.lists,
        store.index,
        store.backups,
        store.expiring_values,
        store.waiting_imports,
        clock,
        sql,
        broken,
    )


@asynccontextmanager
async def _open_sqlite(folder: Path) -> AsyncIterator[OpenStore]:
    path, clock = folder / "store.db", MovableClock()

    path.write_bytes(_empty_sqlite())
    store = SqliteStore(path=path, clock=clock)
    await store.start(create=False)
    try:
        broken = partial(violations, path, at_rest=False)
        yield _opened(store, clock, partial(ask, path), broken)
    finally:
        await store.stop()


@contextmanager
def _sqlite_file(folder: Path) -> Iterator[Path]:
    path = folder / "library.db"
    path.write_bytes(_empty_sqlite())
    yield path


@contextmanager
def _postgres_database(_: Path) -> Iterator[str]:
    url = postgres.fresh_database()
    try:
        yield url
    finally:
        postgres.drop_database(url)


@contextmanager
def _trigram_database(_: Path) -> Iterator[str]:
    with postgres.trigram_database() as url:
        yield url


@contextmanager
def _adopted_database(_: Path) -> Iterator[str]:
    url = adopted_database.fresh_database()
    try:
        yield url
    finally:
        postgres.drop_database(url)


@contextmanager
def _pooled_database(folder: Path) -> Iterator[str]:
    with _postgres_database(folder) as url:
        yield pgbouncer.pooled(url)


@asynccontextmanager
async def _open_server(fresh_database: DatabaseFactory, folder: Path) -> AsyncIterator[OpenStore]:
    clock = MovableClock()
    with fresh_database(folder) as where:
        url = str(where)
        store = PostgresStore(url=url, schema=postgres.SCHEMA, clock=clock)
        await store.start(create=False)
        try:
            broken = partial(violations, url, at_rest=False)
            yield _opened(store, clock, partial(ask, url), broken)
        finally:
            await store.stop()


DATABASES = (
    Kind("sqlite", lambda: None, _open_sqlite, _sqlite_file),
    Kind("postgres", postgres.absent, partial(_open_server, _postgres_database), _postgres_database),
    Kind("pgbouncer", pgbouncer.absent, partial(_open_server, _pooled_database), _pooled_database),
    Kind("adopted", postgres.absent, partial(_open_server, _adopted_database), _adopted_database),
)

TRIGRAM = Kind("trigram", postgres.without_trigrams, partial(_open_server, _trigram_database), _trigram_database)
"""PostgreSQL with the extension of the text index, for the tests that are about it."""

SAMPLED = {"pgbouncer": 16, "adopted": 20}
"""Of tests that run directly on our own tables as well, one in so many runs in `make test` on these."""
PARAMETERS = tuple(
    pytest.param(kind, id=kind.name, marks=[pytest.mark.sweep] * (kind.name in SAMPLED)) for kind in DATABASES
)


def require(kind: Kind) -> None:
    """Skip the test if this database is missing; fail it in CI, where none may be."""
    reason = kind.missing()
    if reason is None:
        return
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"{kind.name} must be there in CI: {reason}")
    pytest.skip(f"{kind.name}: {reason}")
