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
from ninjacam.queries.sessions import USE, iter_sessions, session_id
from ninjacam.queries.users import require_administrator

USED_RESOLUTION_S = 600
"""Minimum seconds between two writes of a session's last use."""
MAX_AGENT_CHARS = 200


def note_use(request: HttpRequest) -> None:
    """Store the time, the address and the browser of this request in its session, unless that was done recently."""
    now_s = int(time.time())
    used = request.session.get(USE)
    address = address_of_request(request)
    if used and used[1] == address and 0 <= now_s - used[0] < USED_RESOLUTION_S:
        return
    agent = "".join(filter(str.isprintable, request.headers.get("User-Agent", "")))[:MAX_AGENT_CHARS]
    request.session[USE] = (now_s, address, agent)


def note_login(sender: object, request: HttpRequest | None, **_kwargs: object) -> None:
    """Handle Django's signal `user_logged_in`."""
    if request is not None and hasattr(request, "session"):
        note_use(request)


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
