"""Times of requests and answers, and the nanoseconds since 1970 that they are in here."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from ninjacam.actions.errors import InvalidError

LONGEST = timedelta(days=32)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def span_ns(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """The last 24 hours, where nothing else is said. Raises: InvalidError."""
    end = end or (start + timedelta(days=1) if start else timezone.now())
    start = start or end - timedelta(days=1)
    if not start < end:
        raise InvalidError.of("end", "The end must be after the start.")
    if end - start > LONGEST:
        raise InvalidError.of("end", f"Ask for at most {LONGEST.days} days at once.")
    return to_ns(start), to_ns(end)


def to_ns(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1) * 1000


def to_time(wall_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=wall_ns // 1000)
