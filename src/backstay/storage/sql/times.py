"""Times as the database stores them: whole microseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta

from backstay.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def now_micros(clock: Clock) -> int:
    return to_micros(clock.now())
