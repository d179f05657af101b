"""Zones, lines and masks of a camera."""

from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import example, input_example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.core.zones import COLOR, DEFAULT_COLOR, MAX_INERTIA_S, MAX_LOITERING_S, MAX_POINTS, NAME

Kind = Literal["zone", "line", "mask"]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Position = Annotated[list[Fraction], Field(min_length=2, max_length=2)]
Points = Annotated[
    list[Position],
    Field(
        min_length=2,
        max_length=MAX_POINTS,
        description="[x, y] as fractions of the width and height of the image: at least 3 corners of a zone or mask, "
        "or at least 2 points of a line, in the order of its direction.",
    ),
]
ZoneName = Annotated[str, Field(pattern=rf"^{NAME}$", description="Unique for the camera.")]
Inertia = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_INERTIA_S,
        allow_inf_nan=False,
        strict=True,
        description="Seconds that an object must be inside before it counts.",
    ),
]
Loitering = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_LOITERING_S,
        allow_inf_nan=False,
        strict=True,
        description="Seconds inside after which an object loiters; 0: never.",
    ),
]
PresetToken = Annotated[
    str,
    Field(
        max_length=64,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Token of a PTZ preset: it applies only while the camera is known to be there, after our own "
        "command or a step of a patrol. Empty: any position of the camera.",
    ),
]
Color = Annotated[str, Field(pattern=rf"^{COLOR}$", description="Color in which it is drawn, as #rrggbb.")]
_ZONE = {
    "name": "driveway",
    "kind": "zone",
    "points": [[0.1, 0.55], [0.6, 0.5], [0.8, 1.0], [0.05, 1.0]],
    "inertia_s": 0.5,
    "loitering_s": 30.0,
    "preset": "",
    "color": DEFAULT_COLOR,
}


class ZoneOut(Schema):
    """A `zone` is an area to watch, a `line` is crossed, a `mask` is an area to ignore. Processors decide how they use
    them."""

    model_config = example(**_ZONE)

    name: ZoneName
    kind: Kind
    points: Points
    inertia_s: Inertia
    loitering_s: Loitering
    preset: PresetToken
    color: Color


class ZonePage(PageOut[ZoneOut]):
    model_config = example(items=[_ZONE], next=None)


class ZoneIn(Schema):
    model_config = input_example(**_ZONE)

    name: ZoneName
    kind: Kind = "zone"
    points: Points
    inertia_s: Inertia = 0.0
    loitering_s: Loitering = 0.0
    preset: PresetToken = ""
    color: Color = DEFAULT_COLOR


class ZonePatch(Schema):
    """The fields to change. Others keep their values."""

    model_config = input_example(points=_ZONE["points"], loitering_s=60)

    name: ZoneName = Field(default_factory=str)
    kind: Kind = Field(default_factory=lambda: "zone")
    points: Points = Field(default_factory=list)
    inertia_s: Inertia = Field(default_factory=float)
    loitering_s: Loitering = Field(default_factory=float)
    preset: PresetToken = Field(default_factory=str)
    color: Color = Field(default_factory=str)
