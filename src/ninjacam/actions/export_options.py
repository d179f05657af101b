"""What may be asked of each kind of export."""

from collections.abc import Mapping
from typing import Any, Self

from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ninjacam.actions.errors import InvalidError
from ninjacam.models import Export

LONGEST_S = {
    Export.Kind.COPY: 24 * 3600,
    Export.Kind.BURNED: 24 * 3600,
    Export.Kind.TIMELAPSE: 7 * 24 * 3600,
}


class CopyOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BurnedOptions(BaseModel):
    """`view`: the processor to run on each picture; empty: none."""

    model_config = ConfigDict(extra="forbid")

    clock: bool = True
    view: str = Field("", max_length=50, pattern=r"^[a-z0-9_-]*$")
    width_px: int | None = Field(None, ge=64, le=7680)


class TimelapseOptions(BaseModel):
    """Either `speed`, or how long it is to be: `length_s`."""

    model_config = ConfigDict(extra="forbid")

    speed: float | None = Field(None, ge=2, le=10_000)
    length_s: float | None = Field(None, ge=1, le=3600)
    fps: int = Field(25, ge=1, le=60)
    width_px: int | None = Field(None, ge=64, le=7680)
    clock: bool = True

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.speed is None) == (self.length_s is None):
            raise ValueError("give either speed or length_s")
        return self


_OPTIONS: dict[str, type[BaseModel]] = {
    Export.Kind.COPY: CopyOptions,
    Export.Kind.BURNED: BurnedOptions,
    Export.Kind.TIMELAPSE: TimelapseOptions,
}


def parse_options(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of that kind, for the database. Raises: InvalidError: one is wrong, or not of this kind."""
    if kind not in _OPTIONS:
        raise InvalidError.of("kind", _("There are no such exports."))
    try:
        return _OPTIONS[kind].model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            field = str(problem["loc"][0]) if problem["loc"] else "speed"
            fields.setdefault(field, []).append(problem["msg"])
        name, messages = next(iter(fields.items()))
        raise InvalidError(f"{name}: {messages[0]}", fields) from error
