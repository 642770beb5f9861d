"""Logs are silent until a program adds a handler."""

import logging
import subprocess
import sys

import pytest

from backstay.logs import get_logger

_NOISY = """
import asyncio, sys
from backstay import Fail, Backstay

def broken_bar(progress):
    raise ValueError("broken bar")

async def process(item):
    return Fail("no")

async def main():
    async with Backstay.open(sys.argv[1]) as backstay:
        result = await backstay.batches.run("topics", [{"topic": "tea"}], process, on_progress=broken_bar)
        assert result.failed == 1

asyncio.run(main())
"""

_UNCHANGED = """
import logging, structlog
from backstay.logs import get_logger

get_logger("backstay.tests")

assert not structlog.is_configured()
assert [type(handler) for handler in logging.getLogger("backstay").handlers] == [logging.NullHandler]
assert logging.getLogger("backstay").propagate
assert logging.getLogger().handlers == []
"""


def test_library_writes_to_neither_output(tmp_path):
    """The library writes to neither output, and a progress callback that raises is only logged."""
    command = [sys.executable, "-c", _NOISY, str(tmp_path / "library.db")]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_event_and_context_are_fields(caplog):
    """A log record has the event and its context as fields."""
    with caplog.at_level(logging.INFO, logger="backstay"):
        get_logger("backstay.tests").info("lease_lost", job="topics", token=7)

    (record,) = caplog.records
    assert (record.name, record.msg, record.job, record.token) == ("backstay.tests", "lease_lost", "topics", 7)


def test_exception_is_kept_with_its_event(caplog):
    """A log record contains the exception of its event."""
    with caplog.at_level(logging.ERROR, logger="backstay"):
        try:
            raise ValueError("broken bar")
        except ValueError:
            get_logger("backstay.tests").exception("listener_failed")

    assert caplog.records[0].exc_info[0] is ValueError


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_what_is_below_the_level_is_not_made(caplog, level):
    """An event below the program's level is not created."""
    with caplog.at_level(logging.WARNING, logger="backstay"):
        get_logger("backstay.tests").log(level, "detail")

    assert caplog.records == []


def test_nothing_global_is_changed():
    """Importing the library changes neither the root logger nor structlog's configuration."""
    ended = subprocess.run([sys.executable, "-c", _UNCHANGED], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
