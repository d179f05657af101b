"""Backtests: options of a processor, tried on recordings."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ninja import Schema
from pydantic import Field, JsonValue

from ninjacam.api.schemas.exports import State
from ninjacam.api.schemas.fields import Time, example, input_example
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.core.times import to_datetime

_ID = "1c9e6679-7425-40de-944b-e07fc1f90ae7"
_EVENT = {
    "kind": "person",
    "label": "",
    "start": "2026-11-30T23:12:03.480Z",
    "end": "2026-11-30T23:12:21Z",
    "score": 0.61,
    "zones": ["porch"],
}
_COMPARISON = {
    "events_in_both": 11,
    "events_only_before": [_EVENT],
    "events_only_before_count": 1,
    "events_only_after": [],
    "events_only_after_count": 0,
    "different_frames": 231,
    "is_equal": False,
}


class BacktestIn(Schema):
    """Options to try. Without `start` and `end`: last night, from 22:00 to 06:00 in this server's time zone."""

    model_config = input_example(
        values={"score": 0.6}, start="2026-11-30T21:00:00Z", end="2026-12-01T05:00:00Z"
    )

    values: dict[str, JsonValue] = Field(
        min_length=1,
        max_length=200,
        description="Options to try; null: the default. Others have their saved values.",
    )
    start: Time | None = None
    end: Time | None = Field(None, description="At most 12 hours after the start.")


class TriedEventOut(Schema):
    model_config = example(**_EVENT)

    kind: str
    label: str
    start: datetime
    end: datetime | None
    score: float | None
    zones: list[str]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "TriedEventOut":
        """`facts`: as `CollectedEvent.as_dict` makes them."""
        return cls(
            kind=facts["kind"],
            label=facts["label"],
            start=to_datetime(facts["start_ns"]),
            end=None if facts["end_ns"] is None else to_datetime(facts["end_ns"]),
            score=facts["score"],
            zones=list(facts["zones"]),
        )


class ComparisonOut(Schema):
    """Two events are the same if they have the same kind and label and overlap, or are at most 2 s apart."""

    model_config = example(**_COMPARISON)

    events_in_both: int
    events_only_before: list[TriedEventOut] = Field(description="With the saved options; at most 60.")
    events_only_before_count: int
    events_only_after: list[TriedEventOut] = Field(description="With the tried options; at most 60.")
    events_only_after_count: int
    different_frames: int = Field(description="Number of frames with different results.")
    is_equal: bool

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "ComparisonOut":
        """`facts`: as in `actions.backtests.BacktestResult`."""
        lists = {
            name: [TriedEventOut.of(each) for each in facts[name]]
            for name in ("events_only_before", "events_only_after")
        }
        return cls(**{**{name: facts[name] for name in cls.model_fields}, **lists})


class BacktestOut(Schema):
    model_config = example(
        id=_ID,
        camera="door",
        processor="objects",
        values={"score": 0.6},
        start="2026-11-30T21:00:00Z",
        end="2026-12-01T05:00:00Z",
        state="done",
        progress=1,
        error=None,
        comparison=_COMPARISON,
        created_at="2026-12-01T07:00:00Z",
        finished_at="2026-12-01T07:04:11Z",
        expires_at="2026-12-02T07:04:11Z",
    )

    id: uuid.UUID
    camera: str
    processor: str
    values: dict[str, Any] = Field(description="Options that are tried; null: the default.")
    start: datetime
    end: datetime
    state: State
    progress: float = Field(description="From 0 to 1.")
    error: ErrorOut | None
    comparison: ComparisonOut | None = Field(description="Null until `state` is `done`.")
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="When the comparison is deleted.")
