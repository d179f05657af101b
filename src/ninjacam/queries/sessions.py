"""Active sessions and tokens of all users, for administrators.

Sessions are found only where Django stores them in the database.
"""

import hashlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from ninjacam.auth import Principal, session_is_of
from ninjacam.models import ApiToken
from ninjacam.queries.users import require_administrator

USE = "ninjacam_use"
"""Key in a session of the note about its last use: (Unix time, address, User-Agent)."""
MAX_SESSIONS = 500
"""Maximum number of sessions in a list."""
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """`id`: a hash of the session key, which is itself a credential. `used_at`, `address`, `agent`: of the last use, if
    known."""

    id: str
    user: Any
    used_at: datetime | None
    address: str
    agent: str
    expires_at: datetime


def are_sessions_listed() -> bool:
    """Return whether Django stores sessions in the database."""
    return database_store() is not None


def list_sessions(who: Principal) -> list[ActiveSession]:
    """Return at most MAX_SESSIONS sessions of logged-in users, last expiry first. Raises: ForbiddenError."""
    require_administrator(who)
    found = []
    for _key, session in iter_sessions():
        found.append(session)
        if len(found) >= MAX_SESSIONS:
            break
    return found


def list_active_tokens(who: Principal) -> QuerySet[ApiToken]:
    """Return the tokens of all users that are not revoked, newest first; expired ones, too. Raises: ForbiddenError."""
    require_administrator(who)
    return ApiToken.objects.filter(revoked_at=None).select_related("user", "parent").order_by("-pk")


def iter_sessions(user: Any = None) -> Iterator[tuple[str, ActiveSession]]:
    """Yield key and session: the valid sessions of all users, or every session of `user`, who may be inactive.

    Decodes every stored session.
    """
    store_class = database_store()
    if store_class is None:
        return
    rows = store_class.get_model_class().objects.filter(expire_date__gt=timezone.now())
    decode = store_class().decode
    chunk: list[tuple[Any, MutableMapping[str, Any]]] = []
    for row in rows.order_by("-expire_date", "pk").iterator(_CHUNK):
        data = decode(row.session_data)
        if SESSION_KEY in data and (user is None or data[SESSION_KEY] == str(user.pk)):
            chunk.append((row, data))
        if len(chunk) >= _CHUNK:
            yield from _read(chunk, is_valid_only=user is None)
            chunk = []
    yield from _read(chunk, is_valid_only=user is None)


def _read(
    chunk: list[tuple[Any, MutableMapping[str, Any]]], *, is_valid_only: bool
) -> Iterator[tuple[str, ActiveSession]]:
    model = get_user_model()
    wanted = set()
    for _row, data in chunk:
        try:
            wanted.add(model._meta.pk.to_python(data[SESSION_KEY]))
        except ValidationError:
            continue
    users = {str(each.pk): each for each in model._default_manager.filter(pk__in=wanted)}
    for row, data in chunk:
        user = users.get(str(data[SESSION_KEY]))
        if user is not None and (not is_valid_only or (user.is_active and session_is_of(data, user))):
            used_s, address, agent = data.get(USE) or (None, "", "")
            used_at = datetime.fromtimestamp(used_s, timezone.get_current_timezone()) if used_s else None
            yield (
                row.session_key,
                ActiveSession(session_id(row.session_key), user, used_at, address, agent, row.expire_date),
            )


def session_id(key: str) -> str:
    """Return the public id of a session."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def database_store() -> type[SessionStore] | None:
    """Return Django's session store, if it keeps sessions in the database."""
    found = import_module(settings.SESSION_ENGINE).SessionStore
    return found if issubclass(found, SessionStore) else None
