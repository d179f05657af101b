"""Recorded files and the timeline."""

from datetime import datetime

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.api.schemas.fields import Slug, Time, example, input_example
from ninjacam.api.schemas.pages import PageOut, PageQuery

_TIME_EXAMPLE = "2026-11-22T08:00:00Z"


class SpanQuery(Schema):
    """A time span, as RFC 3339 times with an offset."""

    camera: list[Slug] = Field(
        default_factory=list,
        max_length=256,
        description="Repeat it for several cameras. Without it: all cameras that you may replay.",
    )
    start: Time | None = Field(None, description="Default: one day before `end`.")
    end: Time | None = Field(None, description="Default: one day after `start`; without `start`, now.")


class TimelineQuery(SpanQuery):
    buckets: int = Field(
        0,
        ge=0,
        le=1440,
        description="Number of equal parts of the span to return the activity of; 0: no activity.",
    )


class RecordingsQuery(SpanQuery, PageQuery):
    pass


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
    """A recorded file. `open`: it is still being written. `audio_source`: the camera's audio codec, if transcoded."""

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
    url: str = Field(description="Path of the file, which supports byte ranges; for a session or a token.")


class RecordingPage(PageOut[RecordingOut]):
    model_config = example(items=[_RECORDING], next=None)


class RecordingPatch(Schema):
    model_config = input_example(protected=True)

    protected: StrictBool


class SpanOut(Schema):
    start: datetime
    end: datetime


class TimelineEventOut(Schema):
    """An event on the timeline. `end`: null while the event is ongoing."""

    id: int
    kind: str
    label: str
    start: datetime
    end: datetime | None
    protected: bool


class ActivityOut(Schema):
    """`bitrate_bps`: mean bit rate of the recordings in each `step_s` from the start; 0 where nothing is recorded."""

    step_s: float
    bitrate_bps: list[int]


class TimelineCamera(Schema):
    """`events`: at most 500, by start; if there are more, the protected and longest ones. `activity`: null without
    `buckets`."""

    camera: str
    spans: list[SpanOut]
    events: list[TimelineEventOut]
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
