"""Database access in the engine's thread, which tolerates a temporarily unavailable database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import NinjacamError


@contextmanager
def database() -> Iterator[None]:
    """Convert database errors. Raises: NinjacamError: the database is unavailable."""
    close_old_connections()
    try:
        yield
    except DatabaseError as exc:
        connections.close_all()
        raise NinjacamError("The database does not respond; recording continues.") from exc
