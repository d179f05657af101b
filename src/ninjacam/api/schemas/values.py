"""The values of processors over time."""

from datetime import datetime

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Time, example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.queries.values import MAX_POINTS


class ValuesQuery(Schema):
    """A value of a processor, and a time span as RFC 3339 times with an offset."""

    processor: str = Field(max_length=50, description="Name of the processor.")
    name: str = Field(max_length=32, description="Name of the value.")
    start: Time | None = Field(None, description="Default: one day before `end`.")
    end: Time | None = Field(None, description="Default: one day after `start`; without `start`, now.")
    points: int = Field(500, ge=2, le=MAX_POINTS, description="Maximum number of points.")


class ValueNameOut(Schema):
    model_config = example(processor="people", name="inside")

    processor: str
    name: str


class ValueNamePage(PageOut[ValueNameOut]):
    model_config = example(items=[{"processor": "people", "name": "inside"}], next=None)


class ValuePointOut(Schema):
    """The numbers of the frames in one step."""

    time: datetime = Field(description="Start of the step.")
    min: float
    mean: float
    max: float
    count: int = Field(description="Number of frames that have the value.")


class ValuesOut(Schema):
    model_config = example(
        camera="door",
        processor="people",
        name="inside",
        start="2026-11-22T08:00:00Z",
        end="2026-11-22T12:00:00Z",
        step_s=30,
        points=[{"time": "2026-11-22T08:00:00Z", "min": 0, "mean": 1.5, "max": 3, "count": 150}],
    )

    camera: str
    processor: str
    name: str
    start: datetime
    end: datetime
    step_s: int = Field(description="Seconds from one point to the next. Steps without values have no point.")
    points: list[ValuePointOut]
