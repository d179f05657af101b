"""Options of each kind of export."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ninjacam.core.errors import InvalidError
from ninjacam.models import Export

MAX_LENGTH_S = {
    Export.Kind.COPY: 24 * 3600,
    Export.Kind.BURNED: 24 * 3600,
    Export.Kind.TIMELAPSE: 7 * 24 * 3600,
    Export.Kind.KEY_FRAMES: 7 * 24 * 3600,
}
MIN_SPEED = 2
"""Minimum speed of a timelapse, whether it is specified by `speed` or by `length_s`."""
DEFAULT_FPS = 25
ViewName = Annotated[str, Field(max_length=50, pattern=r"^[a-z0-9_-]*$")]
WidthPx = Annotated[int, Field(ge=64, le=7680)]
Speed = Annotated[float, Field(ge=MIN_SPEED, le=10_000)]
LengthS = Annotated[float, Field(ge=1, le=3600)]
Fps = Annotated[int, Field(ge=1, le=60)]


class TooLittleRecordedError(InvalidError):
    """The requested timelapse is too long: it would be slower than `MIN_SPEED`."""

    code = "too_little_recorded"


class CopyOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BurnedOptions(BaseModel):
    """`view`: the processor to run on each frame; empty: none."""

    model_config = ConfigDict(extra="forbid")

    clock: bool = True
    view: ViewName = ""
    width_px: WidthPx | None = None


class KeyFramesOptions(BaseModel):
    """Either `speed`, or the requested length `length_s`, which `speed_for` may refuse when the export is created."""

    model_config = ConfigDict(extra="forbid")

    speed: Speed | None = None
    length_s: LengthS | None = None
    fps: Fps = DEFAULT_FPS

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.speed is None) == (self.length_s is None):
            raise ValueError("specify either speed or length_s")
        return self


class TimelapseOptions(KeyFramesOptions):
    width_px: WidthPx | None = None
    clock: bool = True


_OPTIONS: dict[str, type[BaseModel]] = {
    Export.Kind.COPY: CopyOptions,
    Export.Kind.BURNED: BurnedOptions,
    Export.Kind.TIMELAPSE: TimelapseOptions,
    Export.Kind.KEY_FRAMES: KeyFramesOptions,
}


def parse_options(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of this kind, for the database. Raises: InvalidError: one is invalid, or does not apply to
    this kind.
    """
    if kind not in _OPTIONS:
        raise InvalidError.of("kind", _("Unknown kind of export."))
    try:
        return _OPTIONS[kind].model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            field = str(problem["loc"][0]) if problem["loc"] else "speed"
            fields.setdefault(field, []).append(problem["msg"])
        name, messages = next(iter(fields.items()))
        raise InvalidError(f"{name}: {messages[0]}", fields) from error


def speed_for(length_s: float, recorded_s: float) -> float:
    """Return the speed of a timelapse of `recorded_s` that lasts `length_s`. Raises: TooLittleRecordedError."""
    if recorded_s >= MIN_SPEED * length_s:
        return recorded_s / length_s
    message = _(
        "Only %(recorded).1f s of this span are recorded. Ask for at most %(most).1f s, or a longer span."
    ) % {"recorded": recorded_s, "most": recorded_s * 10 // MIN_SPEED / 10}
    raise TooLittleRecordedError.of("length_s", message)
