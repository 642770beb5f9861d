"""What the machine that runs the tests may have set otherwise than a terminal does."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.harness.failure_record import VARIABLE, FailureRecord
from support.harness.sampling import FULL, is_sampled
from support.stores.kinds import SAMPLED

settings.register_profile("sample", max_examples=1_000 if FULL else 30)
settings.load_profile("sample")

# Who is started in the background, or by nohup, inherits that signals are ignored; so would every process of the tests.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


@pytest.fixture(autouse=True, scope="session")
def _settings_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a command remembers for its user is not remembered for whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that is run in this process sets up our logs for itself; whoever comes next knows nothing of it."""
    logger = logging.getLogger("backstay")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)  # which also has it forget what was enabled


def pytest_configure(config: pytest.Config) -> None:
    """Record failures if an environment variable names a file for them."""
    if VARIABLE in os.environ:
        config.pluginmanager.register(FailureRecord(Path(os.environ[VARIABLE])))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the sample does not take: most tests that run through a pooler, or on adopted tables, as well.

    The statements are those that go to the server directly, where every one of these tests runs; all of them run
    there, too, under `make torture`.

    The tests of the pages come first: their files take longest, and the last ones begun decide when all is done.
    """
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    items.sort(key=lambda item: "web" not in item.path.parts)


def _is_left_out(item: pytest.Item) -> bool:
    kind = _kind(item)
    if kind == "adopted" and item.get_closest_marker("own_tables") is not None:
        return True
    return not FULL and not is_sampled(item.nodeid, one_in=SAMPLED.get(kind, 1))


def _kind(item: pytest.Item) -> str:
    """Return the name of the kind of database that a test is for; an empty one where it is for none of several."""
    values = getattr(getattr(item, "callspec", None), "params", {})
    return next(
        (str(values[name].name) for name in ("store", "path", "scene") if hasattr(values.get(name), "name")), ""
    )
