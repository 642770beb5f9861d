"""A stop while the items are being read."""

import pytest

from backstay import Backstay, StopSignal
from backstay.errors import JobNotFound, Stopped
from support.data.conversations import conversation


async def test_stop_before_all_items_are_in_makes_no_job(tmp_path):
    """A stop before all items are read makes no call and leaves nothing, and the same command then creates the job."""
    stop, calls = StopSignal(), []

    def endless():
        for number in range(1_000_000_000):
            if number == 3_000:
                stop.request()
            yield {"topic": f"topic {number}"}

    async def answer(item):
        calls.append(item.id)
        return conversation(item.topic)

    async with Backstay.open(tmp_path / "backstay.db") as backstay:
        with pytest.raises(Stopped):
            await backstay.batches.run("job", endless(), answer, stop=stop)

        with pytest.raises(JobNotFound):
            await backstay.batches.checkpoint("job")
        assert calls == []
        assert await backstay._store.batches.intake.orphaned_staging("local") == []
