"""Time in UTC, and as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.clock import SystemClock, from_text, to_text

_MOMENTS = st.datetimes(
    datetime(1970, 1, 1),
    datetime(9998, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)


def test_present_is_in_utc():
    """The clock returns a timezone-aware time in UTC."""
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@given(_MOMENTS)
def test_text_is_parsed_unchanged(moment):
    """A time that is formatted and parsed is unchanged to the microsecond."""
    assert from_text(to_text(moment)) == moment
    assert from_text(to_text(moment)).tzinfo is UTC


@given(_MOMENTS, _MOMENTS)
def test_text_sorts_as_time_does(earlier, other):
    """Formatted times sort chronologically."""
    assert (to_text(earlier) < to_text(other)) == (earlier < other)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC), "2024-02-29T12:00:00.000000Z"),
        (datetime(2024, 1, 1, 0, 30, 0, 7, tzinfo=timezone(timedelta(hours=1))), "2023-12-31T23:30:00.000007Z"),
    ],
)
def test_form_of_the_text(moment, text):
    """A time is formatted as RFC 3339 with microseconds, in UTC."""
    assert to_text(moment) == text


def test_offset_is_read():
    """Any RFC 3339 text with an offset is parsed."""
    assert from_text("2024-01-01T01:00:00+01:00") == datetime(2024, 1, 1, tzinfo=UTC)


def test_other_text_is_no_time():
    """A text that is no time raises ValueError."""
    with pytest.raises(ValueError, match="yesterday"):
        from_text("yesterday")


def test_an_early_year_has_four_digits():
    """A time of an early year has a year of four digits, is parsed again, and sorts."""
    assert to_text(datetime(500, 1, 2, tzinfo=UTC)) == "0500-01-02T00:00:00.000000Z"
