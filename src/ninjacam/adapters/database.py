"""The database as the engine's thread uses it: it may be away, and comes back."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import NinjacamError


@contextmanager
def database() -> Iterator[None]:
    """Raises: NinjacamError: it is away."""
    close_old_connections()
    try:
        yield
    except DatabaseError as exc:
        connections.close_all()
        raise NinjacamError("The database does not answer; recording goes on.") from exc
