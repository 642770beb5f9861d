"""A server that is far away: what is bounded is how long others wait, not how far the words have to go."""

import asyncio

import pytest

from backstay import Backstay
from support.library import ALL, filled
from support.proxy import Proxy

_COUNT = 300


@pytest.fixture
async def far(url, tmp_path, monkeypatch):
    """A library of some hundreds, behind a proxy from which each answer takes its time; what each step came to."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    # A farther server, and as much more time for a step: beside it, what else this machine does is little.
    monkeypatch.setattr("backstay.backup.deleter._STEP_SECONDS", 0.2)
    await filled(url, _COUNT, job=False)
    with Proxy(url, delay_seconds=0.03) as proxy:
        async with Backstay.open(proxy.url) as backstay:
            yield backstay


@pytest.mark.parametrize("backup", [True, False], ids=["backed up", "outright"])
async def test_a_delete_over_a_slow_link_takes_large_steps(far, monkeypatch, backup):
    """Dozens of times fewer than conversations: the steps grow as they do beside the server."""
    store = far._store.backups
    name = "delete_step" if backup else "delete_without_backup"
    step, steps = getattr(store, name), []

    async def counted(*given, **options):
        steps.append(options["limit"])
        return await step(*given, **options)

    monkeypatch.setattr(store, name, counted)
    done = await far.conversations.delete(ALL, backup=backup)

    assert done.deleted == _COUNT
    assert len(steps) < 20, steps


async def test_without_telling_the_way_from_the_work(far, monkeypatch):
    """The control: with the way counted as work, the steps shrink to one conversation each."""
    from backstay.storage.postgres.session import PostgresSession

    monkeypatch.setattr(PostgresSession, "network_seconds", 0.0)
    store = far._store.backups
    step, steps = store.delete_step, []

    async def counted(*given, **options):
        steps.append(options["limit"])
        if len(steps) > 20:
            raise asyncio.CancelledError
        return await step(*given, **options)

    monkeypatch.setattr(store, "delete_step", counted)
    with pytest.raises(asyncio.CancelledError):
        await far.conversations.delete(ALL)

    assert steps[-1] == 1
