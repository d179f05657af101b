"""Conditions for events, which webhooks and rules share."""

from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Slug
from ninjacam.api.schemas.profiles import ProfileName
from ninjacam.models.conditions import EventConditions

Cameras = Annotated[
    list[Slug], Field(max_length=100, description="Empty: all cameras, and events of the host.")
]
Kinds = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]],
    Field(max_length=100, description="Kinds of events; empty: all."),
]
LabelPart = Annotated[
    str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="A part of the event's label.")
]
Zone = Annotated[
    str,
    Field(
        max_length=50, pattern=r"^[^\s\x00-\x1f\x7f]*$", description="Name of a zone that the object was in."
    ),
]
Score = Annotated[
    Annotated[float, Field(ge=0, le=1, strict=True)] | None,
    Field(description="Minimum score; null: also events without a score."),
]
Duration = Annotated[
    float,
    Field(ge=0, le=86400, strict=True, description="Seconds that an event must last."),
]
Schedule = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$",
        description="When an event must begin, in this server's time zone: `mon-fri 07:00-19:00; sat,sun "
        "22:00-06:00`. Empty: at any time.",
    ),
]
Profiles = Annotated[
    list[ProfileName],
    Field(
        max_length=100,
        description="Profiles, one of which must be active when an event begins. Empty: with any, and without.",
    ),
]


class ConditionsIn(Schema):
    cameras: Cameras = Field(default_factory=list)
    kinds: Kinds = Field(default_factory=list)
    label: LabelPart = ""
    zone: Zone = ""
    min_score: Score = None
    min_duration_s: Duration = 0
    schedule: Schedule = ""
    profiles: Profiles = Field(default_factory=list)


class ConditionsPatch(Schema):
    cameras: Cameras = Field(default_factory=list)
    kinds: Kinds = Field(default_factory=list)
    label: LabelPart = Field(default_factory=str)
    zone: Zone = Field(default_factory=str)
    min_score: Score = None
    min_duration_s: Duration = Field(default_factory=float)
    schedule: Schedule = Field(default_factory=str)
    profiles: Profiles = Field(default_factory=list)


class ConditionsOut(Schema):
    cameras: list[str]
    kinds: list[str]
    label: str
    zone: str
    min_score: float | None
    min_duration_s: float
    schedule: str
    profiles: list[str]


def conditions_of(row: EventConditions) -> dict[str, Any]:
    """Return the fields of `ConditionsOut`."""
    return {name: getattr(row, name) for name in ConditionsOut.model_fields}
