"""Annotations of recorded pictures."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Slug, Time, example

_TIME_EXAMPLE = "2026-11-22T08:00:00Z"


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
