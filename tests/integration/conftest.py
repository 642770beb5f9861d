"""A separate library for every test, opened as a program opens it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backstay import Backstay
from support.faults.batch_invariants import refuse, violations
from support.stores.kinds import PARAMETERS, Kind, require
from support.stores.sql import is_server


@pytest.fixture(autouse=True)
def _without_own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the user who runs the tests."""
    monkeypatch.delenv("BACKSTAY_DATABASE_URL", raising=False)
    monkeypatch.delenv("BACKSTAY_OWNER", raising=False)
    monkeypatch.delenv("BACKUP_DIRECTORY", raising=False)
    monkeypatch.delenv("BACKUP_RETENTION_DAYS", raising=False)
    monkeypatch.delenv("BACKUP_KEEP_NEWEST", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=PARAMETERS)
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path | str]:
    """Return the address of a library, on every kind of database."""
    kind: Kind = request.param
    require(kind)
    with kind.fresh_database(tmp_path) as where:
        if is_server(where):
            monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
        yield where


@pytest.fixture
async def backstay(path: Path | str) -> AsyncIterator[Backstay]:
    """Open a library whose invariants are checked at the end of the test."""
    async with Backstay.open(path) as backstay:
        yield backstay
    refuse(violations(path, at_rest=False))
    assert is_server(path) or list(Path(path).parent.glob("*.workers/*")) == []
