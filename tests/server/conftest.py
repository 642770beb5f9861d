"""Fixtures of the API tests."""

import sys
from types import ModuleType

import pytest

from support.fakes.processors import Gate
from support.harness.commands import in_process
from support.servers.api import KINDS, libraries, serving

settings = libraries(KINDS)


@pytest.fixture
async def api(settings):
    """A running application with two users."""
    async with serving(settings) as running:
        yield running


class Picky:
    """A module `picky` whose function fails bad topics until they are fixed."""

    def __init__(self, folder) -> None:
        self._fixed = folder / "fixed"
        (folder / "picky.py").write_text(
            "from pathlib import Path\n"
            "from backstay import Conversation, Turn\n\n\n"
            "async def picky(item):\n"
            f"    if item.topic == 'bad' and not Path({str(self._fixed)!r}).exists():\n"
            "        raise ValueError('there is no such topic')\n"
            "    return Conversation(turns=[Turn('user', item.topic), Turn('assistant', 'Indeed.')])\n"
        )

    def fix(self) -> None:
        self._fixed.touch()


@pytest.fixture
def command(capfd):
    """Return a function that runs `backstay` in this process."""
    return in_process(capfd)


@pytest.fixture
def picky(tmp_path, monkeypatch):
    """A processor that fails some items."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Picky(tmp_path)
    sys.modules.pop("picky", None)


@pytest.fixture
def gate(monkeypatch):
    """A gate at which calls of the processor `gate:gate` wait until the test opens it."""
    module = ModuleType("gate")
    module.gate = Gate()
    monkeypatch.setitem(sys.modules, "gate", module)
    return module.gate
