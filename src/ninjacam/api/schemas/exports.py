"""What goes in and out of the API of exports."""

import uuid
from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Limit, Slug, Time, example, input_example
from ninjacam.api.schemas.problems import ErrorOut

Kind = Literal["copy", "burned", "timelapse"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
OPTION_FIELDS = {"clock", "view", "width_px", "speed", "length_s", "fps"}


class ExportIn(Schema):
    """RFC 3339 times with an offset. At most 24 hours at once, of a timelapse 7 days."""

    model_config = input_example(
        camera="door", start="2026-11-22T08:00:00Z", end="2026-11-22T08:10:00Z", kind="burned", clock=True
    )

    camera: Slug
    start: Time
    end: Time
    kind: Kind = "copy"
    clock: bool = Field(True, description="Of `burned` and `timelapse`: draw the wall clock in.")
    view: str = Field(
        "", max_length=50, pattern=r"^[a-z0-9_-]*$", description="Of `burned`: the processor to run."
    )
    width_px: int | None = Field(
        None, ge=64, le=7680, description="Of `burned` and `timelapse`; never more than recorded."
    )
    speed: float | None = Field(None, ge=2, le=10_000, description="Of `timelapse`.")
    length_s: float | None = Field(
        None,
        ge=1,
        le=3600,
        description="Of `timelapse`, instead of `speed`; at most half of what is recorded.",
    )
    fps: int = Field(25, ge=1, le=60, description="Of `timelapse`.")


class ExportsQuery(Schema):
    camera: list[Slug] = Field(
        default_factory=list,
        max_length=256,
        description="Once for each camera; all that you may export without.",
    )
    after: str = Field(
        "",
        pattern=r"^(\d{1,19}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$",
        description="`next` of the page before; empty for the first.",
    )
    limit: Limit = 100


_EXPORT = {
    "id": "1c9e6679-7425-40de-944b-e07fc1f90ae7",
    "camera": "door",
    "start": "2026-11-22T08:00:00Z",
    "end": "2026-11-22T08:10:00Z",
    "kind": "burned",
    "options": {"clock": True},
    "state": "done",
    "progress": 1,
    "attempts": 1,
    "cancel_requested": False,
    "error": None,
    "size_bytes": 231250000,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_by": "ada",
    "created_at": "2026-11-22T09:00:00Z",
    "started_at": "2026-11-22T09:00:01Z",
    "finished_at": "2026-11-22T09:01:07Z",
    "expires_at": "2026-11-29T09:01:07Z",
    "url": "/rec/door/export/1c9e6679-7425-40de-944b-e07fc1f90ae7.mp4",
    "download_url": "https://cam.example.org/rec/door/export/1c9e6679-7425-40de-944b-e07fc1f90ae7.mp4?sig=...",
    "download_url_expires_at": "2026-11-22T10:02:00Z",
}


class ExportOut(Schema):
    """`expires_at`: then the file goes."""

    model_config = example(**_EXPORT)

    id: uuid.UUID
    camera: str
    start: datetime
    end: datetime
    kind: Kind
    options: dict[str, Any]
    state: State
    progress: float = Field(description="From 0 to 1.")
    attempts: int
    cancel_requested: bool
    error: ErrorOut | None
    size_bytes: int | None
    sha256: str | None = Field(description="Of the whole file, in hexadecimal.")
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    url: str | None = Field(description="The file, with ranges; for a session or a token.")
    download_url: str | None = Field(description="The same as a signed link, for an hour. Null in lists.")
    download_url_expires_at: datetime | None


class ExportPage(Schema):
    model_config = example(items=[_EXPORT], next=None)

    items: list[ExportOut]
    next: str | None = Field(description="`after` of the next page; null at the end.")
