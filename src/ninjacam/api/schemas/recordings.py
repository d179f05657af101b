"""What goes in and out of the API of recordings and the timeline."""

from datetime import datetime

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.api.schemas.fields import Limit, Slug, Time, example, input_example

_TIME_EXAMPLE = "2026-11-22T08:00:00Z"


class SpanQuery(Schema):
    """RFC 3339 times with an offset."""

    camera: list[Slug] = Field(
        default_factory=list,
        max_length=256,
        description="Once for each camera; all that you may replay without.",
    )
    start: Time | None = Field(None, description="One day before `end`, where it is left out.")
    end: Time | None = Field(None, description="One day after `start`, or now.")


class TimelineQuery(SpanQuery):
    buckets: int = Field(
        0, ge=0, le=1440, description="Of so many parts of the span, the activity; 0: not at all."
    )


class RecordingsQuery(SpanQuery):
    after: str = Field(
        "", pattern=r"^(\d{1,19}-\d{1,18})?$", description="`next` of the page before; empty for the first."
    )
    limit: Limit = 100


_RECORDING = {
    "id": 4711,
    "camera": "door",
    "start": "2026-11-22T08:00:00.120Z",
    "end": "2026-11-22T08:01:00.160Z",
    "size_bytes": 23250000,
    "codec": "h264",
    "width_px": 1280,
    "height_px": 720,
    "audio_codec": "aac",
    "audio_source": "pcm_alaw",
    "open": False,
    "protected": False,
    "url": "/rec/door/segment/4711.mp4",
}


class RecordingOut(Schema):
    """One file. `open`: it is being written. `audio_source`: what the camera sent, where it was transcoded."""

    model_config = example(**_RECORDING)

    id: int
    camera: str
    start: datetime
    end: datetime
    size_bytes: int
    codec: str
    width_px: int
    height_px: int
    audio_codec: str
    audio_source: str
    open: bool
    protected: bool
    url: str = Field(description="The file itself, with ranges; for a session or a token.")


class RecordingPage(Schema):
    model_config = example(items=[_RECORDING], next=None)

    items: list[RecordingOut]
    next: str | None = Field(description="`after` of the next page; null at the end.")


class RecordingPatch(Schema):
    model_config = input_example(protected=True)

    protected: StrictBool


class SpanOut(Schema):
    start: datetime
    end: datetime


class EventMark(Schema):
    """An event as the timeline shows it. `end` is null while it goes on."""

    id: int
    kind: str
    label: str
    start: datetime
    end: datetime | None
    protected: bool


class ActivityOut(Schema):
    """`bitrate_bps`: the mean of what was recorded, of each `step_s` from the start; 0 where nothing was."""

    step_s: float
    bitrate_bps: list[int]


class TimelineCamera(Schema):
    """`events`: at most 500, in order; of more, the protected and the longest. `activity`: null without `buckets`."""

    camera: str
    spans: list[SpanOut]
    events: list[EventMark]
    more_events: bool
    activity: ActivityOut | None


class TimelineOut(Schema):
    model_config = example(
        start=_TIME_EXAMPLE,
        end="2026-11-22T09:00:00Z",
        cameras=[
            {
                "camera": "door",
                "spans": [{"start": "2026-11-22T08:00:00.120Z", "end": "2026-11-22T08:31:07.480Z"}],
                "events": [
                    {
                        "id": 815,
                        "kind": "motion",
                        "label": "Somebody at the gate",
                        "start": "2026-11-22T08:12:03Z",
                        "end": "2026-11-22T08:12:41Z",
                        "protected": False,
                    }
                ],
                "more_events": False,
                "activity": {"step_s": 1800.0, "bitrate_bps": [3100000, 2400000]},
            }
        ],
    )

    start: datetime
    end: datetime
    cameras: list[TimelineCamera]
