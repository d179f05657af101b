"""Annotations of recorded frames."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Slug, Time, example

_TIME_EXAMPLE = "2026-11-22T08:00:00Z"


class AnnotationsQuery(Schema):
    """A time span, as RFC 3339 times with an offset."""

    camera: Slug
    start: Time
    end: Time = Field(description="At most one hour after `start`.")


_Fraction = Annotated[float, Field(ge=0, le=1)]
_Position = tuple[_Fraction, _Fraction]
_Count = Annotated[int, Field(ge=0)]


class AnnotationOut(Schema):
    """`points`: [x, y] as fractions of the frame's width and height: two opposite corners of a box or of the rectangle
    of a mask, one point of a point or text, all points of a line, a polygon or keypoints. Keypoints that are not drawn
    are null."""

    type: Literal["box", "point", "line", "polygon", "keypoints", "mask", "text"]
    points: list[_Position | None]
    label: str = ""
    score: float | None = Field(None, ge=0, le=1)
    color: str = Field("", description="As #rrggbb; empty: chosen by the track, or else by the label.")
    track: int | None = Field(
        None, ge=0, lt=2**53, description="Number that an object keeps from frame to frame."
    )
    trail: list[_Position] = Field([], description="Earlier positions, oldest first.")
    edges: list[tuple[_Count, _Count]] = Field(
        [], description="Of keypoints: pairs of indices of connected points."
    )
    size: tuple[_Count, _Count] | None = Field(
        None, description="Of a mask: number of columns and rows of cells."
    )
    runs: list[_Count] = Field(
        [],
        description="Of a mask: run lengths of cells, row by row, alternately outside and inside, starting outside.",
    )


class AnnotationSetOut(Schema):
    """The annotations of one frame by one view."""

    view: str
    captured_us: int = Field(description="Capture time of the frame: microseconds since 1970, UTC.")
    annotations: list[AnnotationOut]


class AnnotationsOut(Schema):
    """`end`: the time up to which the response is complete."""

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
    frames: list[AnnotationSetOut]
