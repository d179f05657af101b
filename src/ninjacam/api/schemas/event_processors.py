"""Processors that are called with events."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema

from ninjacam.api.schemas.fields import example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.api.schemas.problems import ErrorOut

_PROCESSOR: dict[str, Any] = {
    "camera": "gate",
    "processor": "text",
    "description": "Texts and number plates in the snapshots of events.",
    "state": "idle",
    "waiting": 0,
    "done": 12,
    "failures": 0,
    "last_error": None,
    "last_failed_at": None,
}


class EventProcessorOut(Schema):
    """A processor that is called with the events of a camera.

    `state`: "waiting": events wait for it; "failed": its last call has failed. `waiting`, `done`, `failures`: numbers
    of events that wait, have been processed, and are not tried again. `last_error`, `last_failed_at`: of the last call
    that failed, even if it works now.
    """

    model_config = example(**_PROCESSOR)

    camera: str
    processor: str
    description: str
    state: Literal["idle", "waiting", "failed"]
    waiting: int
    done: int
    failures: int
    last_error: ErrorOut | None
    last_failed_at: datetime | None


class EventProcessorPage(PageOut[EventProcessorOut]):
    model_config = example(items=[_PROCESSOR], next=None)
