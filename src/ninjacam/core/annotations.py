"""What a processor has seen on a picture: boxes, points, polygons and texts.

In pixels for whoever writes them; in fractions of the picture for everybody else, so that they fit it in any size.
On its way to players and recordings, what was seen on one picture is one JSON object, `encode_annotation_set`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsFloat, TypeAlias

from ninjacam.core.errors import EncodeError

MAX_ANNOTATIONS = 256
"""Of one picture."""
MAX_POINTS = 256
"""Of one polygon."""
MAX_TEXT_CHARS = 200
MAX_BYTES = 64 << 10
"""As JSON, of one picture."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: `left`, `top`, `right`, `bottom` in pixels of the frame. `score`: 0 to 1. `color`: "#rrggbb"; where
    there is none, each label has one of its own."""

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
    """`x`, `y`: pixels of the frame. The rest as of a `Box`."""

    _kind: ClassVar = "point"
    x: SupportsFloat
    y: SupportsFloat
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed line through `points`, (x, y) in pixels of the frame: a sequence, or an array of (n, 2) or, as OpenCV's
    contours, (n, 1, 2). The rest as of a `Box`."""

    _kind: ClassVar = "polygon"
    points: Any
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """`text`, from (`x`, `y`) on, in pixels of the frame: the left end of its base line."""

    _kind: ClassVar = "text"
    x: SupportsFloat
    y: SupportsFloat
    text: str
    color: str = ""


Annotation: TypeAlias = Box | Point | Polygon | Text
AnnotationSet: TypeAlias = list[dict[str, Any]]
"""Annotations as JSON: "type", "points" [[x, y], ...] in fractions of width and height, and where they have one
"label", "score", "color"."""


def are_annotations(value: object) -> bool:
    """Whether this is a list (or tuple) of annotations and of nothing else; an empty one is."""
    return isinstance(value, list | tuple) and all(isinstance(each, Annotation) for each in value)


def to_annotation_set(annotations: Sequence[Annotation], width_px: int, height_px: int) -> AnnotationSet:
    """Raises: EncodeError: a sentence for the processor's author."""
    if len(annotations) > MAX_ANNOTATIONS:
        raise EncodeError(
            f"The processor returned {len(annotations)} annotations; {MAX_ANNOTATIONS} at most of one picture."
        )
    annotation_set = [_as_json(each, width_px, height_px) for each in annotations]
    if sum(_max_bytes(each) for each in annotation_set) > MAX_BYTES:
        raise EncodeError(
            f"The processor returned annotations of more than {MAX_BYTES >> 10} KB; "
            "let it leave some out, or polygons have fewer points."
        )
    return annotation_set


def encode_annotation_set(view: str, captured_ns: int, annotations: AnnotationSet) -> bytes:
    """One JSON object, in one line: {"captured_us", "view", "annotations"}."""
    content = {"captured_us": captured_ns // 1000, "view": view, "annotations": annotations}
    return json.dumps(content, separators=(",", ":")).encode()


def at_time(line: bytes, captured_ns: int) -> bytes:
    """What `encode_annotation_set` made, at another time."""
    return b'{"captured_us":%d,%b' % (captured_ns // 1000, line.partition(b",")[2])


def _max_bytes(each: dict[str, Any]) -> int:
    """As JSON, where each letter may take six."""
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
    import numpy as np  # which importing this package must not take

    count = len(annotation.points)
    if not 2 <= count <= MAX_POINTS:
        raise EncodeError(
            f"The processor returned a Polygon of {count} points; 2 to {MAX_POINTS} are possible "
            "(cv2.approxPolyDP makes a contour shorter)."
        )
    try:
        return [(x, y) for x, y in np.asarray(annotation.points, float).reshape(count, 2).tolist()]
    except (TypeError, ValueError) as exc:
        raise EncodeError("The processor returned a Polygon whose points are not pairs (x, y).") from exc


def _fraction(value: Any, whole_px: int, kind: str) -> float:
    return round(min(1.0, max(0.0, _finite(value, kind) / whole_px)), 4)


def _finite(value: Any, kind: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise EncodeError(
            f"The processor returned a {kind.title()} with {type(value).__name__} where a number belongs."
        ) from exc
    if not math.isfinite(number):
        raise EncodeError(f"The processor returned a {kind.title()} with {number} where a number belongs.")
    return number


def _text(value: object) -> str:
    return str(value)[:MAX_TEXT_CHARS].encode(errors="replace").decode()  # names of files may be no Unicode


def _score(value: Any, kind: str) -> float:
    score = round(_finite(value, kind), 4)
    if not 0 <= score <= 1:
        raise EncodeError(f"The processor returned a {kind.title()} with the score {score:g}; write 0 to 1.")
    return score


def _color(value: object) -> str:
    text = str(value).lower()
    if len(text) != 7 or text[0] != "#" or not set(text[1:]) <= set("0123456789abcdef"):
        raise EncodeError(f'The processor returned the color {text[:20]!r}; write it as "#ff8800".')
    return text
