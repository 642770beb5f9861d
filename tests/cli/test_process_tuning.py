"""The garbage collector of a process that exists for one run."""

import gc

import pytest

from backstay.cli import process_tuning


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_it_leaves_out_what_is_loaded_and_comes_by_less_often():
    """The tuned collector skips loaded objects and runs less often, but still collects cycles."""
    process_tuning.tune_garbage_collector()

    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold()[0] == 50_000
    assert gc.isenabled()
