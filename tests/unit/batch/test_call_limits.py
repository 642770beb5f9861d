"""The limits of a job's calls are numbers within their bounds."""

import pytest

from backstay.batch.call_limits import CallLimits, check_limits, check_rate_limits
from backstay.batch.processor import CallableProcessor
from backstay.errors import SettingsError


class _Limitable:
    """A processor whose rate can be limited."""

    def __call__(self, item):
        return None

    def bound_rate(self, *, rpm, tpm):
        pass


def test_limits_within_their_bounds_are_accepted():
    """Whole numbers are limits, a time-out may be a fraction, and what is not set has no bounds."""
    check_limits(CallLimits())
    check_limits(CallLimits(concurrency=3, rpm=60, tpm=1_000), max_attempts=2, timeout_seconds=0.5, limit=10)


@pytest.mark.parametrize("name", ["concurrency", "rpm", "tpm", "max_attempts", "timeout_seconds", "limit"])
@pytest.mark.parametrize(("value", "message"), [(True, "must be a"), ("3", "must be a"), (-1, "must be from")])
def test_other_limits_are_refused(name, value, message):
    """A limit that is true, a text or negative is refused by its name."""
    limits = CallLimits(**{name: value}) if name in ("concurrency", "rpm", "tpm") else CallLimits()
    others = {} if limits != CallLimits() else {name: value}

    with pytest.raises(SettingsError, match=f"^{name} {message}"):
        check_limits(limits, **others)


def test_rates_are_of_a_processor_that_can_be_limited():
    """Requests and tokens per minute are refused for a processor that cannot be limited; concurrency is not."""
    plain, limitable = (CallableProcessor.from_processor(each) for each in (lambda item: None, _Limitable()))

    check_rate_limits(CallLimits(rpm=1, tpm=1), limitable)
    check_rate_limits(CallLimits(concurrency=1), plain)
    for limits in (CallLimits(rpm=1), CallLimits(tpm=1)):
        with pytest.raises(SettingsError, match=r"^[rt]pm limits the requests of a recipe"):
            check_rate_limits(limits, plain)


def test_changes_replace_and_remove_limits():
    """A change replaces the limit of its name, and a 0 removes it."""
    limits = CallLimits(concurrency=3, rpm=60)

    assert limits.with_changes(CallLimits(rpm=0, tpm=5)) == CallLimits(concurrency=3, tpm=5)
    assert CallLimits(rpm=0, tpm=5).to_dict() == {"rpm": 0, "tpm": 5}
