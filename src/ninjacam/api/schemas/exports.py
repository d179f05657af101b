"""Exports."""

import uuid
from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.actions.export_options import DEFAULT_FPS, Fps, LengthS, Speed, ViewName, WidthPx
from ninjacam.api.schemas.fields import Slug, Time, example, input_example
from ninjacam.api.schemas.pages import PageOut, PageQuery
from ninjacam.api.schemas.problems import ErrorOut

Kind = Literal["copy", "burned", "timelapse", "key_frames"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
OPTION_FIELDS = {"clock", "view", "width_px", "speed", "length_s", "fps"}


class ExportIn(Schema):
    """RFC 3339 times with an offset. At most 24 hours; for `timelapse` and `key_frames`, 7 days."""

    model_config = input_example(
        camera="door", start="2026-11-22T08:00:00Z", end="2026-11-22T08:10:00Z", kind="burned", clock=True
    )

    camera: Slug
    start: Time
    end: Time
    kind: Kind = "copy"
    clock: bool = Field(True, description="For `burned` and `timelapse`: draw the time into the frames.")
    view: ViewName = Field("", description="For `burned`: the processor to run.")
    width_px: WidthPx | None = Field(
        None, description="For `burned` and `timelapse`: width in pixels, at most as recorded."
    )
    speed: Speed | None = Field(None, description="For `timelapse` and `key_frames`: how many times faster.")
    length_s: LengthS | None = Field(
        None,
        description="Instead of `speed`: length in seconds, at most half of what is recorded.",
    )
    fps: Fps = Field(DEFAULT_FPS, description="For `timelapse` and `key_frames`: maximum frames per second.")


class ExportsQuery(PageQuery):
    camera: list[Slug] = Field(
        default_factory=list,
        max_length=256,
        description="Repeat it for several cameras. Without it: all cameras that you may export.",
    )


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
    """An export. `expires_at`: when its file is deleted."""

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
    sha256: str | None = Field(description="SHA-256 of the file, in hexadecimal.")
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    url: str | None = Field(
        description="Path of the file, which supports byte ranges; for a session or a token."
    )
    download_url: str | None = Field(description="The file as a signed link, for one hour. Null in lists.")
    download_url_expires_at: datetime | None


class ExportPage(PageOut[ExportOut]):
    model_config = example(items=[_EXPORT], next=None)
