"""Checks the values of annotations and converts them to JSON values: numbers, texts, colors, points and edges.

Each function raises EncodeError with a message for the processor's author. `kind`: the type of the annotation, such as
"box". Not here: masks (masks.py).
"""

import math
from operator import index
from typing import Any

from ninjacam.core.errors import EncodeError

MAX_TEXT_CHARS = 200
MAX_TRACK = 2**53 - 1
"""Largest integer up to which JavaScript represents all integers exactly."""
MIN_KEYPOINT_SCORE = 0.3
"""Keypoints with a lower score are not drawn."""
MAX_EDGES = 512
"""Maximum number of edges of one annotation."""
Pair = tuple[Any, Any]


def rejected(kind: str, problem: str) -> EncodeError:
    """Return the error for an annotation. `problem`: a sentence that describes the defect and how to correct
    it."""
    return EncodeError(f"The processor returned a {kind.title()} with {problem}")


def to_fraction(value: Any, whole_px: int, kind: str) -> float:
    """Return the position as a fraction, clipped to 0 to 1."""
    fraction = to_finite(value, kind) / whole_px
    if 0 < fraction < 1:
        return round(fraction, 4)
    return 1.0 if fraction >= 1 else 0.0


def to_finite(value: Any, kind: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise rejected(kind, f"{type(value).__name__} instead of a number.") from exc
    if not math.isfinite(number):
        raise rejected(kind, f"the number {number}, which is not finite.")
    return number


def to_text(value: object) -> str:
    # File names may not be valid Unicode.
    return str(value)[:MAX_TEXT_CHARS].encode(errors="replace").decode()


def to_score(value: Any, kind: str) -> float:
    score = round(to_finite(value, kind), 4)
    if not 0 <= score <= 1:
        raise rejected(kind, f"the score {score:g}; use a value from 0 to 1.")
    return score


def to_color(value: object) -> str:
    text = str(value).lower()
    if len(text) != 7 or text[0] != "#" or not set(text[1:]) <= set("0123456789abcdef"):
        raise EncodeError(f'The processor returned the color {text[:20]!r}; write it like "#ff8800".')
    return text


def to_track(value: Any, kind: str) -> int:
    try:
        track = index(value)
    except TypeError as exc:
        raise rejected(kind, f"a track of type {type(value).__name__}; use an integer.") from exc
    if not 0 <= track <= MAX_TRACK:
        raise rejected(kind, "a track out of range; use an integer from 0 to 2**53 - 1.")
    return track


def count_items(values: Any, kind: str, name: str) -> int:
    """Return the length of the field `name`. Raises EncodeError if it is not a sequence."""
    try:
        return len(values)
    except TypeError as exc:
        raise rejected(kind, f"`{name}` of type {type(values).__name__}; use a list or an array.") from exc


def to_pairs(points: Any, kind: str, name: str = "points") -> list[Pair]:
    """Return (x, y) pairs. `points`: the field `name`, a sequence of pairs or an array of shape (n, 2) or (n, 1, 2)."""
    import numpy as np  # Importing this package must not import NumPy.

    try:
        pairs = np.asarray(points).reshape(len(points), 2).astype(float)
        return [(x, y) for x, y in pairs.tolist()]
    except (TypeError, ValueError) as exc:
        raise rejected(kind, f"items of `{name}` that are not (x, y) pairs.") from exc


def to_visible(points: Any, kind: str) -> list[Pair | None]:
    """Return the (x, y) pairs of keypoints, with None for points that are None or have a low score.

    `points`: a sequence of None, (x, y) and (x, y, score), or an array of shape (n, 2) or (n, 3).
    """
    try:
        return [None if point is None else _visible(*point, kind=kind) for point in points]
    except (TypeError, ValueError) as exc:
        raise rejected(kind, "items of `points` that are not None, (x, y) or (x, y, score).") from exc


def _visible(x: Any, y: Any, score: Any = 1, *, kind: str) -> Pair | None:
    return (x, y) if to_score(score, kind) >= MIN_KEYPOINT_SCORE else None


def to_edges(edges: Any, point_count: int, kind: str) -> list[tuple[int, int]]:
    """Return the edges as pairs of indices of points."""
    count = count_items(edges, kind, "edges")
    if count > MAX_EDGES:
        raise rejected(kind, f"{count} edges; at most {MAX_EDGES} are allowed.")
    try:
        pairs = [(index(start), index(end)) for start, end in edges]
    except (TypeError, ValueError) as exc:
        raise rejected(kind, "items of `edges` that are not pairs of integers.") from exc
    if not all(0 <= each < point_count for pair in pairs for each in pair):
        raise rejected(kind, f"an edge to a missing point; use indices from 0 to {point_count - 1}.")
    return pairs
