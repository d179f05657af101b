"""Parses times in queries: RFC 3339, strictly."""

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime

from ninjacam.problems import Problem

NS = 1_000_000_000
_RFC3339 = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def parse_time(query: Mapping[str, str], name: str) -> int:
    """Return wall-clock time in ns. Raises: Problem 400: missing, not RFC 3339, or not within 1971 to 2200 (64
    bits).
    """
    text = query.get(name, "")
    match = _RFC3339.fullmatch(text)
    if match is not None:
        zone = "+00:00" if match["zone"] in "Zz" else match["zone"]
        with contextlib.suppress(ValueError):
            when = datetime.fromisoformat(match["whole"].upper() + zone)
            if 1971 <= when.year <= 2200:
                return int(when.timestamp()) * NS + int((match["fraction"] or "").ljust(9, "0"))
    given = f", not {text[:40]!r}" if text else ""
    raise Problem(
        400,
        "bad_request",
        f"The parameter {name!r} must be a time such as 2026-11-22T08:00:00Z (RFC 3339; in a URL '+' is %2B){given}.",
    )


def parse_span(query: Mapping[str, str], *, default_s: float = 0, max_s: float) -> tuple[int, int]:
    """Return `start` and `end` in ns. `default_s`: length if `end` is missing; 0: `end` is required. Raises: Problem
    400.
    """
    start_ns = parse_time(query, "start")
    if default_s and not query.get("end"):
        return start_ns, start_ns + round(default_s * NS)
    end_ns = parse_time(query, "end")
    if end_ns <= start_ns:
        raise Problem(400, "bad_request", "The parameter 'end' must be after 'start'.")
    if end_ns - start_ns > max_s * NS:
        raise Problem(
            400, "span_too_long", f"The span from 'start' to 'end' may be at most {max_s / 3600:g} h."
        )
    return start_ns, end_ns
