"""Every database that Holdfast stores in. What holds for one must hold for all: a second is one more entry here."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.backup.store import BackupStore
from holdfast.batch.store import BatchStores
from holdfast.library.store import ConversationStore
from holdfast.storage.sqlite import SqliteStore
from holdfast.storage.sqlite.migrate import prepare
from support.clocks import MovableClock
from support.invariants import violations


@dataclass(slots=True)
class OpenStore:
    """A fresh, started store."""

    batches: BatchStores
    conversations: ConversationStore
    backups: BackupStore
    clock: MovableClock
    sql: Callable[..., list[tuple[Any, ...]]]
    """Runs one statement on the database as another program would, past Holdfast."""
    violations: Callable[[], list[str]]
    """What of our promises the stored rows break just now."""
    is_left_unchecked: bool = False
    """The test itself took away what the promises are checked by."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database."""

    name: str
    missing: Callable[[], str | None]
    """Says why it cannot be tested here; None when it can."""
    open: Callable[[Path], AbstractAsyncContextManager[OpenStore]]
    """Opens a fresh store in a folder, and closes it."""


@cache
def _empty_sqlite() -> bytes:
    """Make an empty database once: every test starts from a copy of it, which is several times faster."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        prepare(path, create=True)
        return path.read_bytes()


@asynccontextmanager
async def _open_sqlite(folder: Path) -> AsyncIterator[OpenStore]:
    path, clock = folder / "store.db", MovableClock()

    def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(path))
        try:
            connection.set_busy_timeout(5_000)
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    path.write_bytes(_empty_sqlite())
    store = SqliteStore(path=path, clock=clock)
    await store.start(create=False)
    try:
        broken = partial(violations, path, at_rest=False)
        yield OpenStore(store.batches, store.conversations, store.backups, clock, sql, broken)
    finally:
        await store.stop()


DATABASES = (Kind("sqlite", lambda: None, _open_sqlite),)


def require(kind: Kind) -> None:
    """Skip the test when this database is missing; where CI runs, where none may be missing, fail it."""
    reason = kind.missing()
    if reason is None:
        return
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"{kind.name} must be there in CI: {reason}")
    pytest.skip(f"{kind.name}: {reason}")
