"""The page of active sessions and tokens of all users, for administrators."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from ninjacam.actions.notifications import name_of_browser
from ninjacam.actions.sessions import end_access, end_session
from ninjacam.actions.tokens import revoke_token
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError, NotFoundError
from ninjacam.models import ApiToken
from ninjacam.queries.sessions import (
    MAX_SESSIONS,
    ActiveSession,
    are_sessions_listed,
    list_active_tokens,
    list_sessions,
    session_id,
)
from ninjacam.queries.users import get_user
from ninjacam.web.views import page, render_page

PAGE = 50


@dataclass(frozen=True, slots=True)
class SessionRow:
    """`browser`: its name, for a person. `is_own`: the session of this request."""

    session: ActiveSession
    browser: str
    is_own: bool


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_sessions(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show sessions or, with `?of=tokens`, tokens. POST: `session`, `token` or `user`: end it, or all of a user."""
    if request.method == "POST":
        _end(request, principal)
        return redirect(request.get_full_path())
    context: dict[str, Any] = {
        "is_tokens": request.GET.get("of") == "tokens",
        "are_listed": are_sessions_listed(),
    }
    if context["is_tokens"]:
        tokens: Page[ApiToken] = Paginator(list_active_tokens(principal), PAGE).get_page(
            request.GET.get("page")
        )
        context |= {"tokens": [token for token in tokens if token.is_usable()], "shown": tokens}
        return render_page(request, principal, "ninjacam/sessions.html", context)
    listed = list_sessions(principal)
    sessions: Page[ActiveSession] = Paginator(listed, PAGE).get_page(request.GET.get("page"))
    own = session_id(principal.credential)
    rows = [
        SessionRow(each, name_of_browser(each.agent) if each.agent else "", each.id == own)
        for each in sessions
    ]
    is_cut = len(listed) >= MAX_SESSIONS
    context |= {"rows": rows, "shown": sessions, "is_cut": is_cut, "maximum": MAX_SESSIONS}
    return render_page(request, principal, "ninjacam/sessions.html", context)


def _end(request: HttpRequest, principal: Principal) -> None:
    """Raises: ForbiddenError, NotFoundError, InvalidError."""
    if request.POST.get("session"):
        end_session(principal, request.POST["session"])
    elif request.POST.get("token"):
        tokens = list_active_tokens(principal)
        given = request.POST["token"]
        token = tokens.filter(pk=int(given)).first() if given.isdecimal() and len(given) < 19 else None
        if token is None:
            raise NotFoundError(_("This token does not exist any more."))
        revoke_token(principal, token)
    elif request.POST.get("user"):
        end_access(principal, get_user(principal, request.POST["user"]))
    else:
        list_active_tokens(principal)  # Raises ForbiddenError.
        raise InvalidError(_("Unknown action."))
