"""What goes in and out of the API of recordings and the timeline."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.api.schemas import Limit, Slug, Time, example, input_example

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


class AnnotationsQuery(Schema):
    """RFC 3339 times with an offset."""

    camera: Slug
    start: Time
    end: Time = Field(description="An hour after `start` at most.")


_Fraction = Annotated[float, Field(ge=0, le=1)]


class AnnotationOut(Schema):
    """`points`: [x, y] in fractions of the picture's width and height: of a box two opposite corners, of a point and a
    text one, of a polygon all."""

    type: Literal["box", "point", "polygon", "text"]
    points: list[tuple[_Fraction, _Fraction]]
    label: str = ""
    score: float | None = Field(None, ge=0, le=1)
    color: str = Field("", description="As #rrggbb; left out where the label says it.")


class SeenOut(Schema):
    """All that a view has seen on one picture."""

    view: str
    captured_us: int = Field(description="When the picture was captured: microseconds since 1970, UTC.")
    annotations: list[AnnotationOut]


class AnnotationsOut(Schema):
    """`end`: up to where the answer is complete; what is there of later is told, too."""

    model_config = example(
        camera="door",
        start=_TIME_EXAMPLE,
        end="2026-11-22T08:00:30Z",
        frames=[
            {
                "view": "faces",
                "captured_us": 1795334400120000,
                "annotations": [
                    {"type": "box", "points": [[0.31, 0.2], [0.42, 0.45]], "label": "face", "score": 0.93}
                ],
            }
        ],
    )

    camera: str
    start: datetime
    end: datetime
    frames: list[SeenOut]
