"""Converts between aware datetimes and nanoseconds since 1970-01-01 UTC, exactly to the microsecond."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(time: datetime) -> int:
    """Return the nanoseconds of an aware time."""
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(wall_ns: int) -> datetime:
    """Return the aware time in UTC, rounded down to microseconds."""
    return _EPOCH + timedelta(microseconds=wall_ns // 1000)
