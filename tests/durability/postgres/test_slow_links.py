"""A distant server: a step of a delete is bounded by how long it blocks others, not by the time of the network."""

import pytest

from backstay import Backstay
from support.faults.postgres_proxy import Proxy
from support.stores.library import ALL, filled

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
    await _check_that_steps_are_large(far, monkeypatch, backup=backup)


async def _check_that_steps_are_large(far, monkeypatch, *, backup):
    store = far._store.backups.deletes
    name = "delete_step" if backup else "delete_without_backup"
    step, steps = getattr(store, name), []

    async def counted(*arguments, **options):
        steps.append(options["limit"])
        assert len(steps) < 20, f"steps of {steps}"
        return await step(*arguments, **options)

    monkeypatch.setattr(store, name, counted)
    deleted = await far.conversations.delete(ALL, backup=backup)

    assert deleted.deleted == _COUNT


async def test_without_subtracting_the_time_of_the_network(far, monkeypatch):
    """Control: if the time of the network counts as work, the steps shrink to one conversation each."""
    from backstay.storage.postgres.session import PostgresSession

    monkeypatch.setattr(PostgresSession, "network_seconds", 0.0)

    with pytest.raises(AssertionError, match=r"^steps of \[.*, 1\]"):
        await _check_that_steps_are_large(far, monkeypatch, backup=True)
