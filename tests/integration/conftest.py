"""A library of its own for every test, opened as a program opens it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Holdfast
from support.invariants import violations


@pytest.fixture(autouse=True)
def _nothing_said_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.delenv("HOLDFAST_DATABASE_URL", raising=False)
    monkeypatch.delenv("HOLDFAST_OWNER", raising=False)
    monkeypatch.delenv("BACKUP_DIRECTORY", raising=False)
    monkeypatch.delenv("BACKUP_RETENTION_DAYS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
async def hold(path: Path) -> AsyncIterator[Holdfast]:
    """An open library, whose promises are checked when the test is over."""
    async with Holdfast.open(path) as hold:
        yield hold
    assert violations(path, at_rest=False) == []
    assert list(path.parent.glob("*.workers/*")) == []
