"""The events whose snapshots are most similar to a vector, of those that the caller has selected.

NumPy is imported by the first search: it starts threads, and a process with threads cannot be forked.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from ninjacam.models import Event
from ninjacam.models.event import EventQuerySet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_COMPARED = 200_000
"""Maximum number of events that are compared. Of more, the newest count."""
CHUNK = 500
"""Number of vectors that are in memory at the same time: 1 MB, which fits into the cache of a processor."""
Vector: TypeAlias = "npt.NDArray[np.float32]"


def find_similar(found: EventQuerySet, model: str, vector: Vector, limit: int) -> list[tuple[Event, float]]:
    """Return up to `limit` events, the most similar one first, each with its similarity, from -1 to 1.

    `found`: the events that the user may see: only these are read. `model`: the version of the model. Events without a
    vector of this model are left out.
    """
    import numpy as np

    best_ids = np.empty(0, np.int64)
    best = np.empty(0, np.float32)
    for ids, vectors in _iter_vectors(found, model, len(vector)):
        ids = np.concatenate([best_ids, ids])
        scores = np.concatenate([best, vectors.astype(np.float32) @ vector])
        # Of equal ones the newer, so that the order is always the same.
        order = np.lexsort((-ids, -scores))[:limit]
        best_ids, best = ids[order], scores[order]
    events = Event.objects.in_bulk([int(pk) for pk in best_ids])
    pairs = zip(best_ids.tolist(), best.tolist(), strict=True)
    return [(events[pk], min(1.0, max(-1.0, score))) for pk, score in pairs if pk in events]


def _iter_vectors(
    found: EventQuerySet, model: str, dimensions: int
) -> "Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]":
    """Yield ids and vectors, at most CHUNK at once."""
    rows = found.filter(embedding__model=model).order_by("-start_ns", "-pk")
    size_bytes = 2 * dimensions
    ids: list[int] = []
    vectors: list[bytes | memoryview] = []
    selected = rows.values_list("pk", "embedding__vector")[:MAX_COMPARED]
    for pk, data in selected.iterator(chunk_size=CHUNK):
        if len(data) == size_bytes:
            ids.append(pk)
            vectors.append(data)
        if len(ids) == CHUNK:
            yield _to_arrays(ids, vectors, dimensions)
            ids, vectors = [], []
    if ids:
        yield _to_arrays(ids, vectors, dimensions)


def _to_arrays(
    ids: list[int], vectors: list[bytes | memoryview], dimensions: int
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]":
    import numpy as np

    return np.array(ids, np.int64), np.frombuffer(b"".join(vectors), "<f2").reshape(-1, dimensions)
