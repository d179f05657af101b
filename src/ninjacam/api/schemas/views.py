"""Views of cameras, and the processors that make them."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema

from ninjacam.api.schemas.fields import example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.api.schemas.problems import ErrorOut

ViewState = Literal["idle", "running", "waiting", "failed", "unknown"]

_VIEW: dict[str, Any] = {
    "camera": "door",
    "view": "edges",
    "label": "edges",
    "description": "Canny edges.",
    "state": "running",
    "error": None,
    "ms_per_frame": 4.2,
    "ms_p50": 4.0,
    "ms_p95": 6.3,
    "fps": 25.0,
    "dropped": 0,
    "skipped_share": None,
    "values": {},
    "failures": 0,
    "last_error": None,
    "last_failed_at": None,
}


class ViewOut(Schema):
    """A view of a camera. `view` is "" for the camera's own frames, with the label "raw".

    `state`: "waiting": its processor waits for motion. `ms_p50`, `ms_p95`: milliseconds per frame, of the latest
    calls. `dropped`: frames that the processor was too slow for. `skipped_share`: frames of its stream that were not
    decoded because nothing moved, 0 to 1; null if it does not wait for motion. `values`: the latest numbers that the
    processor returned, by name. `error`: the current error. `failures`, `last_error`, `last_failed_at`: failed calls
    of its processor since its code was loaded, even if it works now.
    """

    model_config = example(**_VIEW)

    camera: str
    view: str
    label: str
    description: str
    state: ViewState
    error: ErrorOut | None
    ms_per_frame: float
    ms_p50: float
    ms_p95: float
    fps: float
    dropped: int
    skipped_share: float | None
    values: dict[str, float]
    failures: int
    last_error: ErrorOut | None
    last_failed_at: datetime | None


class ViewPage(PageOut[ViewOut]):
    model_config = example(items=[_VIEW], next=None)


_PROCESSOR = {
    "name": "edges",
    "module": "site.cameras",
    "cameras": ["*"],
    "description": "Canny edges.",
    "record": False,
    "failures": 0,
}


class ProcessorOut(Schema):
    """A processor. `cameras`: slug patterns if you may configure all cameras; otherwise the slugs of its cameras that
    you may view. `record`: its annotations are recorded. `failures`: number of failed calls, for the cameras that you
    may view, since its code was loaded."""

    model_config = example(**_PROCESSOR)

    name: str
    module: str
    cameras: list[str]
    description: str
    record: bool
    failures: int


class ModuleError(Schema):
    """A module of processors that cannot be imported. Its last working version remains in use."""

    module: str
    traceback: str


class ProcessorPage(PageOut[ProcessorOut]):
    """`errors`: modules that cannot be imported, for users who may configure all cameras."""

    model_config = example(items=[_PROCESSOR], next=None, errors=[])

    errors: list[ModuleError]
