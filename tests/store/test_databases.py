"""The test suite itself: no database is left out silently."""

from dataclasses import replace

import pytest

from support.stores.kinds import DATABASES, require

_MISSING = replace(DATABASES[0], name="elsewhere", missing=lambda: "no server is running")


@pytest.mark.parametrize("ci", ["", "0", "false"])
def test_missing_database_is_skipped_at_home(monkeypatch, ci):
    """A missing database skips its tests at home, with the reason."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises(pytest.skip.Exception, match=r"^elsewhere: no server is running$"):
        require(_MISSING)


@pytest.mark.parametrize("ci", ["1", "true"])
def test_missing_database_fails_in_ci(monkeypatch, ci):
    """A missing database fails the tests in CI."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises(pytest.fail.Exception, match=r"^elsewhere must be there in CI: no server is running$"):
        require(_MISSING)


def test_database_that_is_there_is_used(monkeypatch):
    """An existing database is used at home and in CI."""
    monkeypatch.setenv("CI", "1")

    require(replace(_MISSING, missing=lambda: None))
