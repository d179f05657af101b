"""The result of one call of a processor. Not here: validation of results (`ninjacam.vision.calling`)."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

from ninjacam.core.annotations import Annotation, Box
from ninjacam.core.errors import EncodeError
from ninjacam.core.json_values import MAX_DEPTH, is_plain

MAX_VALUES = 16
"""Maximum number of values of one frame."""
MAX_EVENT_DATA_BYTES = 2048
"""Maximum size of the result of one processor for an event, as JSON."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Result:
    """A processor's result for a frame, if an image or annotations alone are not enough.

    `image`: an image; None: the frame. `annotations`: a list, in pixels of the frame. `values`: numbers by name,
    which are stored over time, and whose latest values the API and metrics report: at most 16, names of a-z, 0-9 and
    _, starting with a letter. `data`: any object for the processors that run after this one. It is passed unchanged to
    another thread.
    """

    image: Any = None
    annotations: Sequence[Annotation] | None = None
    values: Mapping[str, SupportsFloat] = field(default_factory=dict)
    data: Any = None

    @property
    def boxes(self) -> list[Box]:
        """Return the annotations that are boxes."""
        return [each for each in self.annotations or () if isinstance(each, Box)]


def to_event_data(returned: object) -> dict[str, Any] | None:
    """Return what to store in an event's data: the data and the values of a result. None: nothing.

    Raises: EncodeError: with a message for the processor's author.
    """
    if returned is None:
        return None
    result = returned if isinstance(returned, Result) else Result(data=returned)
    if result.image is not None or result.annotations is not None:
        raise EncodeError(
            "The result for an event has no image and no annotations. Return data and values only."
        )
    data = {} if result.data is None else result.data
    if not isinstance(data, dict):
        raise EncodeError(f"Return a Result, a dictionary or None for an event, not {type(data).__name__}.")
    found = {**data, **to_values(result.values)}
    try:
        encoded = json.dumps(found, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise EncodeError(f"The data cannot be converted to JSON: {exc}.") from exc
    plain: dict[str, Any] = json.loads(encoded)
    if not is_plain(plain):
        raise EncodeError(
            f"Use plain values without control characters, nested at most {MAX_DEPTH} levels deep."
        )
    if len(encoded) > MAX_EVENT_DATA_BYTES:
        raise EncodeError(
            f"The result for an event has {len(encoded)} bytes; the maximum is {MAX_EVENT_DATA_BYTES}."
        )
    return plain


def to_values(values: Mapping[str, SupportsFloat]) -> dict[str, float]:
    """Return the values as floats. Raises: EncodeError: with a message for the processor's author."""
    if not isinstance(values, Mapping):
        raise EncodeError(f"The values must be a dictionary of numbers, not {type(values).__name__}.")
    if len(values) > MAX_VALUES:
        raise EncodeError(
            f"The processor returned {len(values)} values; the maximum is {MAX_VALUES} per frame."
        )
    return {_to_name(name): _to_number(name, value) for name, value in values.items()}


def _to_name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        text = repr(name)[:60]
        raise EncodeError(
            f"Invalid name of a value: {text}. Use at most 32 of a-z, 0-9 and _, a letter first."
        )
    return name


def _to_number(name: str, value: SupportsFloat) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise EncodeError(f"The value {name!r} must be a number, not {type(value).__name__}.") from exc
    if not math.isfinite(number):
        raise EncodeError(f"The value {name!r} is {number}. Leave it out of frames for which it is unknown.")
    return number
