"""Views of cameras, and the processors that make them."""

from datetime import datetime
from typing import Literal

from ninja import Schema

from ninjacam.api.schemas.fields import example
from ninjacam.api.schemas.problems import ErrorOut

_VIEW = {
    "camera": "door",
    "view": "edges",
    "label": "edges",
    "description": "Canny edges.",
    "state": "running",
    "error": None,
    "ms_per_frame": 4.2,
    "fps": 25.0,
    "failures": 0,
    "last_error": None,
    "last_failed_at": None,
}


class ViewOut(Schema):
    """One picture that a camera offers. `view` is "" for the camera itself, whose label is "raw".

    `error`: what is wrong now. `failures`, `last_error`, `last_failed_at`: calls of its processor that failed since its
    code was loaded, even if it works by now.
    """

    model_config = example(**_VIEW)

    camera: str
    view: str
    label: str
    description: str
    state: Literal["idle", "running", "failed", "unknown"]
    error: ErrorOut | None
    ms_per_frame: float
    fps: float
    failures: int
    last_error: ErrorOut | None
    last_failed_at: datetime | None


class ViewList(Schema):
    model_config = example(items=[_VIEW])

    items: list[ViewOut]


_PROCESSOR = {
    "name": "edges",
    "module": "site.cameras",
    "cameras": ["*"],
    "description": "Canny edges.",
    "record": False,
    "failures": 0,
}


class ProcessorOut(Schema):
    """A function that makes views. `cameras`: patterns of slugs if you may configure all cameras, otherwise the slugs
    of those cameras with it that you may see. `record`: its annotations are recorded. `failures`: calls that failed for
    the cameras that you may see, since its code was loaded."""

    model_config = example(**_PROCESSOR)

    name: str
    module: str
    cameras: list[str]
    description: str
    record: bool
    failures: int


class ModuleError(Schema):
    """A module of processors that cannot be imported; its last good version goes on."""

    module: str
    traceback: str


class ProcessorList(Schema):
    """`errors`: for those who may configure all cameras."""

    model_config = example(items=[_PROCESSOR], errors=[])

    items: list[ProcessorOut]
    errors: list[ModuleError]
