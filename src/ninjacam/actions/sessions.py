"""Note the use of sessions, and end sessions and tokens of other users."""

import time
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.tokens import revoke_all_tokens
from ninjacam.auth import Principal, address_of_request
from ninjacam.core.errors import NotFoundError
from ninjacam.queries.sessions import USE, database_store, iter_sessions, session_id
from ninjacam.queries.users import require_administrator
from ninjacam.throttle import get_throttle

USED_EVERY_S = 600.0
"""Minimum seconds between two writes of a session's last use."""
MAX_AGENT_CHARS = 200


def note_use(request: HttpRequest) -> None:
    """Store the time, the address and the browser of this request with its session, unless that was done recently.

    Changes the row only: to save the session would prolong it, and send its cookie again.
    """
    key, store_class = request.session.session_key, database_store()
    if not key or store_class is None:
        return
    if get_throttle().claim(f"session use:{key}", every_s=USED_EVERY_S):
        data = request.session.encode({**dict(request.session.items()), USE: _use(request)})
        store_class.get_model_class().objects.filter(session_key=key).update(session_data=data)


def note_login(sender: object, request: HttpRequest | None, **_kwargs: object) -> None:
    """Handle Django's signal `user_logged_in`. The session is about to be saved."""
    if request is not None and hasattr(request, "session"):
        request.session[USE] = _use(request)


def _use(request: HttpRequest) -> tuple[int, str, str]:
    agent = "".join(filter(str.isprintable, request.headers.get("User-Agent", "")))[:MAX_AGENT_CHARS]
    return int(time.time()), address_of_request(request), agent


@audited
def end_session(who: Principal, wanted: str) -> None:
    """End the session with the public id `wanted`. Its streams end within NINJACAM["REAUTH_S"].

    Raises: ForbiddenError, NotFoundError.
    """
    require_administrator(who)
    for key, session in iter_sessions():
        if session.id == wanted:
            _delete(key)
            record(who, "session.end", session.user.get_username(), address=session.address)
            return
    raise NotFoundError(_("This session has already ended."))


@audited
def end_access(who: Principal, user: AbstractBaseUser) -> int:
    """End all sessions of `user`, except the one that `who` uses, and revoke all tokens. Return their number.

    Raises: ForbiddenError.
    """
    require_administrator(who)
    own = session_id(who.credential) if who.source == "session" else ""
    keys = [key for key, session in iter_sessions(user) if session.id != own]
    for key in keys:
        _delete(key)
    if keys:
        record(who, "session.end", user.get_username(), sessions=len(keys))
    return len(keys) + revoke_all_tokens(who, user)


def _delete(key: str) -> Any:
    import_module(settings.SESSION_ENGINE).SessionStore(key).delete()
