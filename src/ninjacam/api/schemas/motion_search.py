"""Search of recordings for motion."""

from datetime import datetime

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Time, example


class MotionSearchQuery(Schema):
    """A time span, as RFC 3339 times with an offset, and a region."""

    start: Time | None = Field(None, description="Default: one day before `end`.")
    end: Time | None = Field(None, description="Default: one day after `start`; without `start`, now.")
    region: str = Field(
        "0,0,1,1",
        max_length=100,
        description="Left, top, right and bottom edges as fractions of the image. Default: the whole image.",
    )


class MovementOut(Schema):
    """The first and the last key frame that show motion. It may have begun after the key frame before."""

    start: datetime
    end: datetime


class MotionSearchOut(Schema):
    model_config = example(
        start="2026-11-22T08:00:00Z",
        end="2026-11-22T12:00:00Z",
        next=None,
        key_frames=7200,
        movements=[{"start": "2026-11-22T08:12:03Z", "end": "2026-11-22T08:12:41Z"}],
    )

    start: datetime
    end: datetime = Field(description="The end of the part that was searched.")
    next: datetime | None = Field(
        description="`start` of the next request; null: the whole span was searched."
    )
    key_frames: int = Field(description="Number of key frames that were examined.")
    movements: list[MovementOut]
