"""Events."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.actions.word_search import MAX_CHARS
from ninjacam.api.schemas.fields import Slug, Time, example, input_example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.api.schemas.recordings import RecordingsQuery
from ninjacam.core.colors import Color

Kind = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_]{1,32}$",
        description="A word of your choice. Ninjacam itself uses `camera_down`, `camera_black`, `camera_covered`, "
        "`camera_frozen`, `recording_failed`, `disk_full` and `disk_low`.",
    ),
]
Label = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

MAX_SEEN = 500
"""Maximum number of events that are marked at once."""

_EVENT = {
    "id": 815,
    "camera": "door",
    "kind": "motion",
    "label": "Somebody at the gate",
    "start": "2026-11-22T08:12:03Z",
    "end": "2026-11-22T08:12:41Z",
    "data": {"zone": "gate"},
    "source": "token:detector",
    "record": True,
    "protected": False,
    "score": 0.87,
    "track": 12,
    "box": [0.41, 0.22, 0.55, 0.81],
    "best_at": "2026-11-22T08:12:17Z",
    "zones": ["gate"],
    "snapshot_at": "2026-11-22T08:12:17Z",
    "colors": ["black", "red"],
    "seen_by": ["anna"],
    "similarity": None,
}


class EventsQuery(RecordingsQuery):
    search: str = Field(
        "",
        max_length=MAX_CHARS,
        description="Words such as “red car at the gate”: the events whose snapshots fit them best, in that order.",
    )
    kind: list[Kind] = Field(
        default_factory=list, max_length=50, description="Repeat it for several kinds. Without it: all kinds."
    )
    label: str = Field("", max_length=200, description="Events whose label contains this text.")
    zone: str = Field("", max_length=50, description="Events whose object was in the zone of this name.")
    min_score: float | None = Field(None, ge=0, le=1, description="Events with at least this score.")
    color: list[Color] = Field(
        default_factory=list,
        max_length=len(Color),
        description="Events whose object has this color. Repeat it for several, of which an event needs one.",
    )
    unseen: bool = Field(False, description="true: only events that you have not marked as seen.")


class SnapshotQuery(Schema):
    crop: bool = Field(
        False,
        description="Return only the object of the event with a margin of a tenth of its longer side. The whole image "
        "if the event has no object.",
    )


class EventIn(Schema):
    """Specify at most one of `end`, `duration_s` and `ongoing`. Without them, the event has no duration."""

    model_config = input_example(
        camera="door", kind="motion", label="Somebody at the gate", duration_s=20, data={"zone": "gate"}
    )

    camera: Slug
    kind: Kind
    label: Label = ""
    start: Time | None = Field(None, description="Default: now.")
    end: Time | None = Field(None, description="At most one day after the start.")
    duration_s: float | None = Field(None, ge=0, le=86400, strict=True)
    ongoing: StrictBool = Field(
        False,
        description="The event lasts until its `end` is set. The camera records it for at most one day.",
    )
    data: dict[str, Any] = Field(default_factory=dict, description="At most 4096 bytes of JSON.")
    record: StrictBool = Field(
        True,
        description="Record the event, with some seconds before and after it, if the camera records events.",
    )
    protected: StrictBool = Field(
        False, description="Keep the event and its recordings. Needs the role `export`."
    )


class EventPatch(Schema):
    """The fields to change."""

    model_config = input_example(label="The postman", protected=True)

    label: Label = Field(default_factory=str)
    end: Time = Field(default_factory=lambda: datetime.max)
    protected: StrictBool = Field(default_factory=bool)


class EventOut(Schema):
    """`camera`: null for an event of the host. `end`: null while the event is ongoing. `source`: its creator.

    Of the object, if the event has one: `score`: 0 to 1. `track`: its number. `best_at`: when it is seen best; `box`:
    where, as left, top, right, bottom in fractions of the image. `zones`: names of the zones that it was in.

    `similarity`: of the snapshot to the words of `search`, from -1 to 1; null without them. Compare it only with that
    of other events in the same answer.

    `snapshot_at`: capture time of the stored image at `events/{id}/snapshot.jpg`; null: there is none yet, or it was
    deleted to make room. `colors`: one to three colors of the object in that image, also after it was deleted; empty if
    there was no image, no box, or no color, as at night. `seen_by`: names of the first 20 users who have marked
    the event as seen; not in streams of events and webhooks.
    """

    model_config = example(**_EVENT)

    id: int
    camera: str | None
    kind: str
    label: str
    start: datetime
    end: datetime | None
    data: dict[str, Any]
    source: str
    record: bool
    protected: bool
    score: float | None
    track: int | None
    box: list[float] | None
    best_at: datetime | None
    zones: list[str]
    snapshot_at: datetime | None
    colors: list[Color]
    seen_by: list[str]
    similarity: float | None = None


class SeenIn(Schema):
    model_config = input_example(ids=[815, 816])

    ids: list[Annotated[int, Field(ge=1, lt=1 << 63)]] = Field(
        min_length=1, max_length=MAX_SEEN, description="Ids of events."
    )
    seen: StrictBool = Field(True, description="false: you have not seen them.")


class EventPage(PageOut[EventOut]):
    model_config = example(items=[_EVENT], next=None)
