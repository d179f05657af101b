"""Annotations that a processor returns for a frame: boxes, points, lines, polygons, keypoints, masks and texts.

Processors use pixels. Everything else uses fractions of the frame's width and height, which are valid at any size.
Players and recordings receive the annotations of one frame as one JSON object (`encode_annotation_set`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsFloat, SupportsIndex, TypeAlias

from ninjacam.core.annotation_values import (
    Pair,
    count_items,
    rejected,
    to_color,
    to_edges,
    to_finite,
    to_fraction,
    to_pairs,
    to_score,
    to_text,
    to_track,
    to_visible,
)
from ninjacam.core.errors import EncodeError

MAX_ANNOTATIONS = 256
"""Maximum number of annotations of one frame."""
MAX_POINTS = 256
"""Maximum number of points in one line, polygon or pose."""
MAX_TRAIL = 64
"""Maximum number of positions in the trail of one annotation."""
MAX_BYTES = 64 << 10
"""Maximum size of one frame's annotations as JSON."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: `left`, `top`, `right`, `bottom` in pixels of the frame.

    `score`: 0 to 1. `color`: "#rrggbb"; by default each track, or else each label, has its own color. `track`: a number
    that an object keeps from frame to frame, 0 to 2**53 - 1. `trail`: up to 64 earlier positions (x, y) of the object,
    oldest first, drawn as a thin line that ends at its center.
    """

    _kind: ClassVar = "box"
    left: SupportsFloat
    top: SupportsFloat
    right: SupportsFloat
    bottom: SupportsFloat
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""
    track: SupportsIndex | None = field(default=None, kw_only=True)
    trail: Any = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Point:
    """A point at `x`, `y` in pixels of the frame. Other fields as in `Box`."""

    _kind: ClassVar = "point"
    x: SupportsFloat
    y: SupportsFloat
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""
    track: SupportsIndex | None = field(default=None, kw_only=True)
    trail: Any = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Line:
    """An open line through 2 to 256 `points`, as in `Polygon`. Other fields as in `Box`."""

    _kind: ClassVar = "line"
    points: Any
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""
    track: SupportsIndex | None = field(default=None, kw_only=True)


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
    track: SupportsIndex | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The points of a pose, a face or a hand, and the lines between them.

    `points`: up to 256, each (x, y) or (x, y, score) in pixels of the frame, or None: a sequence, or an array of shape
    (n, 2) or (n, 3). Points with a score below 0.3, and their edges, are not drawn. `edges`: up to 512 pairs of indices
    of points. Other fields as in `Box`.
    """

    _kind: ClassVar = "keypoints"
    points: Any
    edges: Any = ()
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""
    track: SupportsIndex | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Mask:
    """The pixels of an object.

    `mask`: an array of shape (height, width), bool or uint8 (not 0: inside). `left`, `top`: its top left corner in
    pixels of the frame. It is sent with at most 160 cells on the longer side. Other fields as in `Box`.
    """

    _kind: ClassVar = "mask"
    mask: Any
    label: str = ""
    score: SupportsFloat | None = None
    color: str = ""
    left: SupportsFloat = 0
    top: SupportsFloat = 0
    track: SupportsIndex | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Text:
    """`text` that starts at (`x`, `y`), the left end of its baseline, in pixels of the frame."""

    _kind: ClassVar = "text"
    x: SupportsFloat
    y: SupportsFloat
    text: str
    color: str = ""


Annotation: TypeAlias = Box | Point | Line | Polygon | Keypoints | Mask | Text
AnnotationSet: TypeAlias = list[dict[str, Any]]
"""Annotations as JSON: "type", "points" [[x, y], ...] in fractions of width and height and, if set, "label", "score",
"color", "track" and "trail" (like "points").

Keypoints that are not drawn are null in "points"; "edges" [[start, end], ...] contains indices of the others. A mask
has the corners of its rectangle as "points", "size" [columns, rows] and "runs" (see `core.masks`).
"""


def are_annotations(value: object) -> bool:
    """Return whether `value` is a list or tuple that contains only annotations. It may be empty."""
    return isinstance(value, list | tuple) and all(isinstance(each, Annotation) for each in value)


def to_annotation_set(annotations: Sequence[Annotation], width_px: int, height_px: int) -> AnnotationSet:
    """Convert annotations to fractions of the frame's size. Omits masks and keypoints without a visible part.

    Raises: EncodeError: with a message for the processor's author.
    """
    if len(annotations) > MAX_ANNOTATIONS:
        raise EncodeError(
            f"The processor returned {len(annotations)} annotations; the maximum is {MAX_ANNOTATIONS} per frame."
        )
    size_px = width_px, height_px
    annotation_set = [made for each in annotations if (made := _as_json(each, size_px))]
    if sum(_max_bytes(each) for each in annotation_set) > MAX_BYTES:
        raise EncodeError(
            f"The processor returned more than {MAX_BYTES >> 10} KB of annotations; "
            "return fewer annotations, or smaller masks and shapes with fewer points."
        )
    return annotation_set


def encode_annotation_set(view: str, captured_ns: int, annotations: AnnotationSet) -> bytes:
    """Return one line of JSON: {"captured_us", "view", "annotations"}."""
    content = {"captured_us": captured_ns // 1000, "view": view, "annotations": annotations}
    return json.dumps(content, separators=(",", ":")).encode()


def at_time(line: bytes, captured_ns: int) -> bytes:
    """Return a line made by `encode_annotation_set` with its capture time replaced."""
    return b'{"captured_us":%d,%b' % (captured_ns // 1000, line.partition(b",")[2])


def _max_bytes(each: dict[str, Any]) -> int:
    """Return an upper bound of the size as JSON in bytes. Each character may take six bytes."""
    size_bytes = 110 + 16 * len(each["points"]) + 6 * len(each.get("label", ""))
    if "trail" in each:
        size_bytes += 11 + 16 * len(each["trail"])
    if "edges" in each:
        size_bytes += 11 + 10 * len(each["edges"])
    if "runs" in each:
        size_bytes += 30 + len(str(each["runs"]))
    return size_bytes


def _as_json(annotation: Annotation, size_px: tuple[int, int]) -> dict[str, Any]:
    """Return the annotation as a JSON object, empty if no part of the annotation is visible."""
    kind = annotation._kind
    shape = _shape(annotation, size_px)
    if not shape:
        return {}
    made = {"type": kind, **shape}
    label = annotation.text if isinstance(annotation, Text) else annotation.label
    if label:
        made["label"] = to_text(label)
    if annotation.color:
        made["color"] = to_color(annotation.color)
    if isinstance(annotation, Text):
        return made
    if annotation.score is not None:
        made["score"] = to_score(annotation.score, kind)
    if annotation.track is not None:
        made["track"] = to_track(annotation.track, kind)
    return made


def _shape(annotation: Annotation, size_px: tuple[int, int]) -> dict[str, Any]:
    """Return the fields that describe positions; an empty object if no part of the annotation is visible."""
    kind = annotation._kind
    if isinstance(annotation, Box):
        corners = [(annotation.left, annotation.top), (annotation.right, annotation.bottom)]
        return {"points": _fractions(corners, size_px, kind), **_trail(annotation, size_px)}
    if isinstance(annotation, Point):
        at = [(annotation.x, annotation.y)]
        return {"points": _fractions(at, size_px, kind), **_trail(annotation, size_px)}
    if isinstance(annotation, Text):
        return {"points": _fractions([(annotation.x, annotation.y)], size_px, kind)}
    if isinstance(annotation, Mask):
        return _mask(annotation, size_px)
    if isinstance(annotation, Keypoints):
        return _keypoints(annotation, size_px)
    count = count_items(annotation.points, kind, "points")
    if not 2 <= count <= MAX_POINTS:
        advice = f"2 to {MAX_POINTS} are allowed (cv2.approxPolyDP simplifies a contour)."
        raise rejected(kind, f"{count} points; {advice}")
    return {"points": _fractions(to_pairs(annotation.points, kind), size_px, kind)}


def _fractions(pairs: Sequence[Pair], size_px: tuple[int, int], kind: str) -> list[list[float]]:
    width_px, height_px = size_px
    return [[to_fraction(x, width_px, kind), to_fraction(y, height_px, kind)] for x, y in pairs]


def _trail(annotation: Box | Point, size_px: tuple[int, int]) -> dict[str, Any]:
    kind = annotation._kind
    count = count_items(annotation.trail, kind, "trail")
    if not count:
        return {}
    if count > MAX_TRAIL:
        raise rejected(kind, f"a trail of {count} positions; return the last {MAX_TRAIL} at most.")
    return {"trail": _fractions(to_pairs(annotation.trail, kind, "trail"), size_px, kind)}


def _keypoints(annotation: Keypoints, size_px: tuple[int, int]) -> dict[str, Any]:
    kind = annotation._kind
    count = count_items(annotation.points, kind, "points")
    if count > MAX_POINTS:
        raise rejected(kind, f"{count} points; at most {MAX_POINTS} are allowed.")
    visible = to_visible(annotation.points, kind)
    edges = to_edges(annotation.edges, count, kind)
    if not any(visible):
        return {}
    return {
        "points": [None if point is None else _fractions([point], size_px, kind)[0] for point in visible],
        "edges": [[start, end] for start, end in edges if visible[start] and visible[end]],
    }


def _mask(annotation: Mask, size_px: tuple[int, int]) -> dict[str, Any]:
    from ninjacam.core.masks import encode_mask  # Importing this package must not import NumPy.

    kind = annotation._kind
    left, top = (round(to_finite(value, kind)) for value in (annotation.left, annotation.top))
    found = encode_mask(annotation.mask, left, top, *size_px)
    if not found:
        return {}
    corners = [(found.left, found.top), (found.right, found.bottom)]
    return {
        "points": _fractions(corners, size_px, kind),
        "size": [found.columns, found.rows],
        "runs": found.runs,
    }
