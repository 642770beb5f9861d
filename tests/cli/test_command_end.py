"""A command ends when its run has ended, whatever the processor has left behind."""

import pytest

_HANGING = """
import asyncio, time

async def stubborn(item):
    while True:
        try:
            await asyncio.sleep(60)  # longer than the call's timeout
        except asyncio.CancelledError:
            pass

def blocking(item):
    time.sleep(60)  # longer than the call's timeout
"""


@pytest.mark.parametrize("name", ["stubborn", "blocking"])
def test_a_call_that_heeds_nothing_does_not_keep_the_command(backstay, name):
    """A call that ignores timeout and cancellation fails its item and does not delay the end of the command."""
    (backstay.folder / "hanging.py").write_text(_HANGING)
    (backstay.folder / "one.csv").write_text("topic\ntea\n")

    ended = backstay("run", "one.csv", "--processor", f"hanging:{name}", "--timeout", "0.5", "--max-attempts", "1")

    assert ended.code == 3
    assert "Traceback" not in ended.err
    assert "destroyed" not in ended.err
