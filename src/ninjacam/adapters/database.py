"""The engine's thread for database access, in which the database may be temporarily unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import NinjacamError


@contextmanager
def database() -> Iterator[None]:
    """Raises: NinjacamError: it is unavailable."""
    close_old_connections()
    try:
        yield
    except DatabaseError as exc:
        connections.close_all()
        raise NinjacamError("The database does not respond; recording continues.") from exc
