"""Profiles: what differs from the stored configuration of the cameras while one is active."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, JsonValue, StrictBool

from ninjacam.api.schemas.fields import Slug, Time, example, input_example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.core.profiles import MAX_PROCESSORS, PROCESSOR
from ninjacam.models.profile import MAX_OVERRIDES

ProfileName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,29}$",
        description="Unique; part of URLs. “active” is reserved.",
    ),
]
Schedule = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$",
        description="When it becomes active by itself, in this server's time zone: `mon-fri 22:00-06:00; sat,sun "
        "23:00-08:00`. If several profiles are due, the first by name is active. Empty: only if it is activated.",
    ),
]
ProcessorName = Annotated[str, Field(pattern=rf"^{PROCESSOR}$")]
Processors = Annotated[
    dict[ProcessorName, StrictBool],
    Field(
        max_length=MAX_PROCESSORS,
        description="Name of a processor and whether it runs. Others are unchanged. A ready-made one that the camera "
        "does not use is added; one that others run after runs while these do.",
    ),
]
Options = Annotated[
    dict[ProcessorName, dict[str, JsonValue]],
    Field(
        max_length=MAX_PROCESSORS,
        description="Name of a processor and its options. Others are unchanged. Values that do not fit are not used, "
        "and reported in `problems` of the processor's options.",
    ),
]
_OVERRIDE = {
    "camera": "door",
    "record": "always",
    "processors": {"people": True},
    "options": {"people": {"score": 0.4}},
}
_PROFILE = {"name": "away", "schedule": "mon-fri 08:00-17:00", "overrides": [_OVERRIDE]}


class OverrideIn(Schema):
    """What differs for a camera. The override of a camera takes precedence over the one for all cameras, value by
    value."""

    model_config = input_example(**_OVERRIDE)

    camera: Slug | None = Field(None, description="Null: all cameras.")
    record: Literal["off", "always", "events"] | None = Field(
        None, description="When it records; null: unchanged."
    )
    processors: Processors = Field(default_factory=dict)
    options: Options = Field(default_factory=dict)


class OverrideOut(Schema):
    model_config = example(**_OVERRIDE)

    camera: str | None
    record: str | None
    processors: dict[str, bool]
    options: dict[str, dict[str, JsonValue]]


Overrides = Annotated[
    list[OverrideIn], Field(max_length=MAX_OVERRIDES + 1, description="At most one per camera.")
]


class ProfileIn(Schema):
    model_config = input_example(**_PROFILE)

    name: ProfileName
    schedule: Schedule = ""
    overrides: Overrides = Field(default_factory=list)


class ProfilePatch(Schema):
    """The fields to change. `overrides` replaces all of them."""

    model_config = input_example(schedule="mon-fri 09:00-18:00")

    name: ProfileName = Field(default_factory=str)
    schedule: Schedule = Field(default_factory=str)
    overrides: Overrides = Field(default_factory=list)


class ProfileOut(Schema):
    model_config = example(**_PROFILE)

    name: ProfileName
    schedule: str
    overrides: list[OverrideOut]


class ProfilePage(PageOut[ProfileOut]):
    model_config = example(items=[_PROFILE], next=None)


class ActivateIn(Schema):
    model_config = input_example(profile="away")

    profile: ProfileName | None = Field(
        description="Name of the profile; null: the stored configuration of the cameras."
    )
    until: Time | None = Field(
        None, description="When the schedules decide again; null: when they would next change the profile."
    )


class ActiveProfileOut(Schema):
    model_config = example(profile="away", chosen=True, until="2026-11-30T22:00:00Z")

    profile: str | None = Field(description="Null: the stored configuration of the cameras.")
    chosen: bool = Field(description="Whether a user or a program activated it, and not its schedule.")
    until: datetime | None = Field(description="End of this choice; null: it has no end.")
