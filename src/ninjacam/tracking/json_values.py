"""Boxes and numbers as plain JSON, and back with checks, because stored states may be damaged or of another version."""

from typing import Any

from ninjacam.core.annotations import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking.geometry import Corners

MAX_INTEGER = 2**63 - 1
MAX_NUMBER = 1e7


def invalid_state() -> InvalidError:
    return InvalidError.of("state", "The state is not the result of `state()`. Start without it.")


def box_to_json(box: Box) -> dict[str, Any]:
    """Return a box as plain JSON, without its color, track and trail."""
    return {
        "corners": [float(box.left), float(box.top), float(box.right), float(box.bottom)],
        "label": box.label,
        "score": None if box.score is None else float(box.score),
    }


def box_from_json(value: Any) -> Box:
    """Return the box. Raises: InvalidError, LookupError, TypeError or ValueError: it is not one."""
    score = None if value["score"] is None else to_number(value["score"])
    return Box(*to_corners(value["corners"]), to_label(value["label"]), score)


def to_corners(value: Any) -> Corners:
    """Return the corners of a box with an area. Raises: InvalidError, TypeError or ValueError."""
    left, top, right, bottom = (to_number(each) for each in value)
    if not (left < right and top < bottom):
        raise invalid_state()
    return left, top, right, bottom


def to_integer(value: Any) -> int:
    """Return a number from 0 to 2**63 - 1. Raises: InvalidError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise invalid_state()
    return value


def to_number(value: Any) -> float:
    """Return a number from -10^7 to 10^7. Raises: InvalidError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise invalid_state()
    return float(value)


def to_label(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_state()
    return value
