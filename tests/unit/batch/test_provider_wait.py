"""What a worker's calls wait for, recorded only when it has changed."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from backstay.batch.progress import ProviderWait
from backstay.batch.provider_wait import ProviderWaitRecorder
from backstay.batch.store import Lease

_LEASE = Lease("local", 1, "job", 7)
_NOW = datetime(2025, 1, 1, tzinfo=UTC)


def _wait(seconds=8.0, reason="Rate limited", detail="429"):
    return ProviderWait(reason, detail, _NOW + timedelta(seconds=seconds))


class _Writer:
    """A fake of both the store and the writer, which records what was noted."""

    def __init__(self):
        self.noted = []

    async def note_waiting(self, lease, waiting):
        assert lease is _LEASE
        self.noted.append(waiting)

    async def write(self, write):
        await write()


@pytest.mark.parametrize(
    ("waits", "noted"),
    [
        ([None, None], []),
        ([_wait(), _wait()], [_wait()]),
        ([_wait(), _wait(8.9)], [_wait()]),
        ([_wait(), _wait(7.1)], [_wait()]),
        ([_wait(), _wait(9.0)], [_wait(), _wait(9.0)]),
        ([_wait(), _wait(7.0)], [_wait(), _wait(7.0)]),
        ([_wait(), _wait(8.9), _wait(9.1)], [_wait(), _wait(9.1)]),
        ([_wait(), _wait(reason="Down")], [_wait(), _wait(reason="Down")]),
        ([_wait(), _wait(detail="503")], [_wait(), _wait(detail="503")]),
        ([_wait(), None, None, _wait()], [_wait(), None, _wait()]),
    ],
)
async def test_wait_is_recorded_when_it_has_changed(waits, noted):
    """A wait is recorded when it begins, ends, has another reason or ends at another second, and not otherwise."""
    writer, script = _Writer(), list(waits)
    function = SimpleNamespace(waiting_for_provider=lambda: script.pop(0))
    recorder = ProviderWaitRecorder(store=writer, lease=_LEASE, function=function, writer=writer)

    for _ in waits:
        await recorder.record()

    assert writer.noted == noted
    assert recorder.recorded == (noted[-1] if noted else None)


async def test_processor_that_never_waits_has_nothing_to_record():
    """A processor without `waiting_for_provider` is no reason to write."""
    writer = _Writer()
    recorder = ProviderWaitRecorder(store=writer, lease=_LEASE, function=lambda item: None, writer=writer)

    await recorder.record()

    assert writer.noted == []
