"""Times in the arguments of commands: ISO 8601, in the time zone of the project unless they have an offset."""

from argparse import ArgumentTypeError

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ninjacam.core.times import to_ns


def parse_time(text: str) -> int:
    """Return ns since 1970. Raises: ArgumentTypeError."""
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None or not 1971 <= parsed.year <= 2200:
        raise ArgumentTypeError(f"unknown time {text[:40]!r}; use one such as 2026-11-22T20:00")
    return to_ns(timezone.make_aware(parsed) if parsed.tzinfo is None else parsed)
