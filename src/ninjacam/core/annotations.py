"""Annotations that a processor returns for a frame: boxes, points, polygons and texts.

Processors use pixels. Everything else uses fractions of the frame's width and height, which are valid at any size.
Players and recordings receive the annotations of one frame as one JSON object (`encode_annotation_set`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsFloat, TypeAlias

from ninjacam.core.errors import EncodeError

MAX_ANNOTATIONS = 256
"""Maximum number of annotations of one frame."""
MAX_POINTS = 256
"""Maximum number of points in one polygon."""
MAX_TEXT_CHARS = 200
MAX_BYTES = 64 << 10
"""Maximum size of one frame's annotations as JSON."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: `left`, `top`, `right`, `bottom` in pixels of the frame. `score`: 0 to 1. `color`: "#rrggbb"; by
    default each label has its own color.
    """

    _kind: ClassVar = "box"
    left: SupportsFloat
    top: SupportsFloat
    right: SupportsFloat
    bottom: SupportsFloat
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A point at `x`, `y` in pixels of the frame. Other fields as in `Box`."""

    _kind: ClassVar = "point"
    x: SupportsFloat
    y: SupportsFloat
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed line through `points`, (x, y) in pixels of the frame: a sequence, or an array of shape (n, 2) or,
    like OpenCV's contours, (n, 1, 2). Other fields as in `Box`.
    """

    _kind: ClassVar = "polygon"
    points: Any
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """`text` that starts at (`x`, `y`), the left end of its baseline, in pixels of the frame."""

    _kind: ClassVar = "text"
    x: SupportsFloat
    y: SupportsFloat
    text: str
    color: str = ""


Annotation: TypeAlias = Box | Point | Polygon | Text
AnnotationSet: TypeAlias = list[dict[str, Any]]
"""Annotations as JSON: "type", "points" [[x, y], ...] in fractions of width and height and, if set, "label", "score"
and "color".
"""


def are_annotations(value: object) -> bool:
    """Return whether `value` is a list or tuple that contains only annotations. It may be empty."""
    return isinstance(value, list | tuple) and all(isinstance(each, Annotation) for each in value)


def to_annotation_set(annotations: Sequence[Annotation], width_px: int, height_px: int) -> AnnotationSet:
    """Convert annotations to fractions of the frame's size. Raises: EncodeError: with a message for the processor's
    author.
    """
    if len(annotations) > MAX_ANNOTATIONS:
        raise EncodeError(
            f"The processor returned {len(annotations)} annotations; the maximum is {MAX_ANNOTATIONS} per frame."
        )
    annotation_set = [_as_json(each, width_px, height_px) for each in annotations]
    if sum(_max_bytes(each) for each in annotation_set) > MAX_BYTES:
        raise EncodeError(
            f"The processor returned more than {MAX_BYTES >> 10} KB of annotations; "
            "return fewer annotations, or polygons with fewer points."
        )
    return annotation_set


def encode_annotation_set(view: str, captured_ns: int, annotations: AnnotationSet) -> bytes:
    """Return one line of JSON: {"captured_us", "view", "annotations"}."""
    content = {"captured_us": captured_ns // 1000, "view": view, "annotations": annotations}
    return json.dumps(content, separators=(",", ":")).encode()


def at_time(line: bytes, captured_ns: int) -> bytes:
    """Return a line made by `encode_annotation_set` with another capture time."""
    return b'{"captured_us":%d,%b' % (captured_ns // 1000, line.partition(b",")[2])


def _max_bytes(each: dict[str, Any]) -> int:
    """Return an upper bound of the size as JSON, in which each character may take six bytes."""
    return 60 + 16 * len(each["points"]) + 6 * len(each.get("label", ""))


def _as_json(annotation: Annotation, width_px: int, height_px: int) -> dict[str, Any]:
    kind = annotation._kind
    made: dict[str, Any] = {
        "type": kind,
        "points": [
            [_fraction(x, width_px, kind), _fraction(y, height_px, kind)] for x, y in _points(annotation)
        ],
    }
    label = annotation.text if isinstance(annotation, Text) else annotation.label
    if label:
        made["label"] = _text(label)
    if not isinstance(annotation, Text) and annotation.score is not None:
        made["score"] = _score(annotation.score, kind)
    if annotation.color:
        made["color"] = _color(annotation.color)
    return made


def _points(annotation: Annotation) -> list[tuple[Any, Any]]:
    if isinstance(annotation, Box):
        return [(annotation.left, annotation.top), (annotation.right, annotation.bottom)]
    if not isinstance(annotation, Polygon):
        return [(annotation.x, annotation.y)]
    import numpy as np  # Importing this package must not import NumPy.

    count = len(annotation.points)
    if not 2 <= count <= MAX_POINTS:
        raise EncodeError(
            f"The processor returned a Polygon with {count} points; 2 to {MAX_POINTS} are allowed "
            "(cv2.approxPolyDP simplifies a contour)."
        )
    try:
        return [(x, y) for x, y in np.asarray(annotation.points, float).reshape(count, 2).tolist()]
    except (TypeError, ValueError) as exc:
        raise EncodeError("The processor returned a Polygon whose points are not (x, y) pairs.") from exc


def _fraction(value: Any, whole_px: int, kind: str) -> float:
    return round(min(1.0, max(0.0, _finite(value, kind) / whole_px)), 4)


def _finite(value: Any, kind: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise EncodeError(
            f"The processor returned a {kind.title()} with {type(value).__name__} instead of a number."
        ) from exc
    if not math.isfinite(number):
        raise EncodeError(
            f"The processor returned a {kind.title()} with the number {number}, which is not finite."
        )
    return number


def _text(value: object) -> str:
    # File names may not be valid Unicode.
    return str(value)[:MAX_TEXT_CHARS].encode(errors="replace").decode()


def _score(value: Any, kind: str) -> float:
    score = round(_finite(value, kind), 4)
    if not 0 <= score <= 1:
        raise EncodeError(
            f"The processor returned a {kind.title()} with the score {score:g}; use a value from 0 to 1."
        )
    return score


def _color(value: object) -> str:
    text = str(value).lower()
    if len(text) != 7 or text[0] != "#" or not set(text[1:]) <= set("0123456789abcdef"):
        raise EncodeError(f'The processor returned the color {text[:20]!r}; write it like "#ff8800".')
    return text
