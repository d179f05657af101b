"""The events whose snapshots are most similar to a vector, of those that the caller has selected.

NumPy is imported by the first search: it starts threads, and a process with threads cannot be forked.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Q

from ninjacam.models import Event
from ninjacam.models.event import EventQuerySet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_COMPARED = 200_000
"""Maximum number of events that are compared. Of more, the newest count."""
BATCH = 8_000
"""Number of vectors that are in memory at the same time: 8 MB with 512 dimensions."""
CHUNK = 500
"""Number of vectors that are compared at the same time: 1 MB, which fits into the cache of a processor."""
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
        parts = [vectors[at : at + CHUNK].astype(np.float32) @ vector for at in range(0, len(vectors), CHUNK)]
        # Rounded, because the last digits depend on the size of a part. Of equal ones the newer, so that the order is
        # always the same.
        scores = np.round(np.concatenate([best, *parts]), 6)
        order = np.lexsort((-ids, -scores))[:limit]
        best_ids, best = ids[order], scores[order]
    events = Event.objects.in_bulk([int(pk) for pk in best_ids])
    pairs = zip(best_ids.tolist(), best.tolist(), strict=True)
    return [(events[pk], min(1.0, max(-1.0, score))) for pk, score in pairs if pk in events]


def _iter_vectors(
    found: EventQuerySet, model: str, dimensions: int
) -> "Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]":
    """Yield ids and vectors, the newest events first, at most BATCH at once."""
    import numpy as np

    rows = found.filter(embedding__model=model).order_by("-start_ns", "-pk")
    following, left = rows, MAX_COMPARED
    while left:
        count = min(BATCH, left)
        fetched = _fetch(following, count)
        usable = [row for row in fetched if len(row[2]) == 2 * dimensions]
        ids = np.array([pk for pk, _start_ns, _vector in usable], np.int64)
        yield ids, np.frombuffer(b"".join(row[2] for row in usable), "<f2").reshape(-1, dimensions)
        if len(fetched) < count:
            return
        left -= count
        pk, start_ns, _vector = fetched[-1]
        following = rows.filter(Q(start_ns__lt=start_ns) | Q(start_ns=start_ns, pk__lt=pk))


def _fetch(rows: EventQuerySet, count: int) -> list[tuple[int, int, bytes | memoryview]]:
    """Return id, start and vector of the first rows.

    Not by the queryset: it handles each value in Python and, on PostgreSQL, gets a vector as hexadecimal digits. Both
    take longer than the comparison.
    """
    selected = rows.values_list("pk", "start_ns", "embedding__vector")[:count]
    try:
        sql, parameters = selected.query.sql_with_params()
    except EmptyResultSet:
        return []
    connection = connections[rows.db]
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        import psycopg

        with psycopg.Cursor(connection.connection) as binary:
            return binary.execute(sql, parameters, binary=True).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
