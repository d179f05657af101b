"""The recordings that the device itself keeps, such as on an SD card (ONVIF Recording Search)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.xml import Element

MAX_COUNT = 1_000_000
_END_OF_TIME_S = 4_102_444_800
"""The year 2100, in Unix time."""


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """The recordings of a device. `start_s`, `end_s`: of all of them, Unix time by the camera's clock; None: unknown.

    `count`: recordings as ONVIF defines them, which are usually one for each video source.
    """

    count: int
    start_s: float | None = None
    end_s: float | None = None


async def get_recording_summary(client: OnvifClient) -> RecordingSummary | None:
    """Return the summary; None: the device keeps no recordings, or does not count them. Raises: SourceError,
    CommandError."""
    if not await client.has_service("search"):
        return None
    return read_summary(await client.call("search", "GetRecordingSummary"))


def read_summary(answer: Element) -> RecordingSummary | None:
    """Return the summary of a response to GetRecordingSummary; None: it has no plausible number."""
    summary = answer.find("Summary") or Element("")
    count = summary.get_int("NumberRecordings")
    if count is None or not 0 <= count <= MAX_COUNT:
        return None
    start_s, end_s = (_time_s(summary.get_text(name)) for name in ("DataFrom", "DataUntil"))
    if not count or start_s is None or end_s is None or start_s > end_s:
        return RecordingSummary(count)
    return RecordingSummary(count, start_s, end_s)


def _time_s(text: str) -> float | None:
    """Return the Unix time of an xs:dateTime; None: unreadable, or not from 1970 to 2100. Without a zone: UTC."""
    try:
        stated = datetime.fromisoformat(text.strip()[:40])
    except ValueError:
        return None
    time_s = (stated if stated.tzinfo else stated.replace(tzinfo=UTC)).timestamp()
    return time_s if 0 <= time_s < _END_OF_TIME_S else None
