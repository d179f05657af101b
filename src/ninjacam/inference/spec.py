"""The description of a model, `model.json`, and its labels, `labels.txt`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ninjacam.core.errors import ModelError
from ninjacam.inference.decoders.inputs import USUAL_INPUTS

MIN_SIZE_PX = 32
MAX_SIZE_PX = 2048
"""Largest width or height of a network's input."""
MAX_LABELS = 10_000
MAX_LABEL_CHARS = 100
MAX_TEXT_BYTES = 1 << 20
"""Maximum size of labels.txt and of model.json."""
COCO = Path(__file__).with_name("coco.txt")
"""The 80 classes of COCO 2017, in the order that most detectors use."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}\Z")

_Pixels = Annotated[int, Field(ge=MIN_SIZE_PX, le=MAX_SIZE_PX)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Channels = tuple[_Finite, _Finite, _Finite]


class InputSpec(BaseModel):
    """How images are prepared for a network.

    `input_size`: width and height in pixels. `colors`: order of the channels. A network receives (pixel - mean) *
    scale, for each channel in that order. `letterbox`: where the image is placed in the input, so that it keeps its
    aspect ratio; "none": it is stretched. `padding`: brightness around it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[_Pixels, _Pixels]
    colors: Literal["bgr", "rgb"] = "bgr"
    mean: _Channels = (0, 0, 0)
    scale: _Channels = (1, 1, 1)
    letterbox: Literal["corner", "center", "none"] = "corner"
    padding: int = Field(0, ge=0, le=255)


class ModelSpec(InputSpec):
    """How images are prepared for a network, and how its outputs are decoded.

    `score`: the default threshold. `sha256`: of model.onnx; "": not checked. `tried_with`: the engine that has run it
    without a crash.
    """

    decoder: str
    score: float = Field(0.4, ge=0.01, le=1)
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    tried_with: str = ""
    licence: str = ""
    source: str = ""

    @field_validator("decoder")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in USUAL_INPUTS:
            raise ValueError(f"unknown decoder “{value}”; known are {', '.join(sorted(USUAL_INPUTS))}")
        return value


def make_spec(values: Mapping[str, Any]) -> ModelSpec:
    """Return the description with the defaults of its decoder. Raises: ModelError: a value is invalid."""
    usual = USUAL_INPUTS.get(str(values.get("decoder")), {})
    try:
        return ModelSpec.model_validate({**usual, **values})
    except ValidationError as exc:
        raise ModelError(f"The description of the model is invalid: {first_problem(exc)}.") from exc


def parse_spec(text: str) -> ModelSpec:
    """Parse `model.json`. Raises: ModelError."""
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as exc:
        raise ModelError(f"model.json is invalid: {first_problem(exc)}.") from exc


def first_problem(exc: ValidationError) -> str:
    """Return the first of the invalid values with its name, as part of a sentence."""
    first = exc.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return f"`{where}`: {what}" if where else what


def check_labels(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the labels without empty lines at the end. Raises: ModelError."""
    labels = [line.strip() for line in lines]
    while labels and not labels[-1]:
        labels.pop()
    if not 1 <= len(labels) <= MAX_LABELS or any(len(label) > MAX_LABEL_CHARS for label in labels):
        raise ModelError(
            f"A list of labels has 1 to {MAX_LABELS} lines of at most {MAX_LABEL_CHARS} characters, one for each class."
        )
    return tuple(labels)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file with one label on each line. Raises: ModelError."""
    return check_labels(read_text(path).splitlines())


def read_text(path: Path) -> str:
    """Raises: ModelError: the file is missing, too large, or not text in UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) <= MAX_TEXT_BYTES:
            return content.decode()
    except OSError as exc:
        raise ModelError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ModelError(f"{path.name} is not text in UTF-8.") from exc
    raise ModelError(f"{path.name} is larger than {MAX_TEXT_BYTES >> 20} MB.")


def check_name(name: str) -> str:
    """Return the name of a model. Raises: ModelError: it cannot be the name of a directory."""
    if not NAME.match(name):
        raise ModelError(
            f"A model cannot be named “{name[:60]}”. Use a-z, 0-9, “.”, “_” and “-”, at most 50 characters."
        )
    return name


def write_labels(path: Path, labels: Sequence[str]) -> None:
    path.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
