"""A distant server: a step of a delete is bounded by how long it blocks others, not by the time of the network."""

import asyncio

import pytest

from backstay import Backstay
from support.library import ALL, filled
from support.proxy import Proxy

_COUNT = 300


@pytest.fixture
async def far(url, tmp_path, monkeypatch):
    """A library of some hundreds of conversations behind a proxy that delays each reply, and the sizes of the steps."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    # A farther server, and as much more time for a step: next to it, what else this machine does is little.
    monkeypatch.setattr("backstay.backup.deleter._STEP_SECONDS", 0.2)
    await filled(url, _COUNT, job=False)
    with Proxy(url, delay_seconds=0.03) as proxy:
        async with Backstay.open(proxy.url) as backstay:
            yield backstay


@pytest.mark.parametrize("backup", [True, False], ids=["backed up", "outright"])
async def test_a_delete_over_a_slow_link_takes_large_steps(far, monkeypatch, backup):
    """A delete over a slow link takes dozens of times fewer steps than there are conversations."""
    store = far._store.backups.deletes
    name = "delete_step" if backup else "delete_without_backup"
    step, steps = getattr(store, name), []

    async def counted(*arguments, **options):
        steps.append(options["limit"])
        return await step(*arguments, **options)

    monkeypatch.setattr(store, name, counted)
    deleted = await far.conversations.delete(ALL, backup=backup)

    assert deleted.deleted == _COUNT
    assert len(steps) < 20, steps


async def test_without_subtracting_the_time_of_the_network(far, monkeypatch):
    """Control: if the time of the network counts as work, the steps shrink to one conversation each."""
    from backstay.storage.postgres.session import PostgresSession

    monkeypatch.setattr(PostgresSession, "network_seconds", 0.0)
    store = far._store.backups.deletes
    step, steps = store.delete_step, []

    async def counted(*arguments, **options):
        steps.append(options["limit"])
        if len(steps) > 20:
            raise asyncio.CancelledError
        return await step(*arguments, **options)

    monkeypatch.setattr(store, "delete_step", counted)
    with pytest.raises(asyncio.CancelledError):
        await far.conversations.delete(ALL)

    assert steps[-1] == 1
