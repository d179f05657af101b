"""What goes in and out of the API of events."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.api.schemas.fields import Slug, Time, example, input_example
from ninjacam.api.schemas.recordings import RecordingsQuery

Kind = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_]{1,32}$",
        description="A word of your own. `camera_down`, `recording_failed`, `disk_full` are the engine's.",
    ),
]
Label = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

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
}


class EventsQuery(RecordingsQuery):
    kind: list[Kind] = Field(
        default_factory=list, max_length=50, description="Once for each kind; all without."
    )


class EventIn(Schema):
    """At most one of `end`, `duration_s` and `ongoing`; without them it is a moment."""

    model_config = input_example(
        camera="door", kind="motion", label="Somebody at the gate", duration_s=20, data={"zone": "gate"}
    )

    camera: Slug
    kind: Kind
    label: Label = ""
    start: Time | None = Field(None, description="Now, where it is left out.")
    end: Time | None = Field(None, description="At most a day after the start.")
    duration_s: float | None = Field(None, ge=0, le=86400, strict=True)
    ongoing: StrictBool = Field(
        False, description="Until it is given its end. It makes a camera record for at most a day."
    )
    data: dict[str, Any] = Field(default_factory=dict, description="At most 4096 bytes of JSON.")
    record: StrictBool = Field(
        True, description="Record it, with what comes before and after, if the camera records events."
    )
    protected: StrictBool = Field(False, description="Keep it and its recordings. Needs the role `export`.")


class EventPatch(Schema):
    """What is left out stays."""

    model_config = input_example(label="The postman", protected=True)

    label: Label = Field(default_factory=str)
    end: Time = Field(default_factory=lambda: datetime.max)
    protected: StrictBool = Field(default_factory=bool)


class EventOut(Schema):
    """`camera`: null for what happened to the host. `end`: null while it goes on. `source`: who told it."""

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


class EventPage(Schema):
    model_config = example(items=[_EVENT], next=None)

    items: list[EventOut]
    next: str | None = Field(description="`after` of the next page; null at the end.")
