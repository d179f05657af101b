"""Template tags for any page: `{% camera "door" view="edges" %}`, a live player; `{% camera_wall %}`, several of them;
`{% events "door" limit=5 %}`, the newest events.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from django import template
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template import Context
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.languages import translate, translate_item
from ninjacam.models import Camera
from ninjacam.permissions import may
from ninjacam.queries.cameras import list_cameras
from ninjacam.queries.events import EventFilter, list_events
from ninjacam.web.event_cards import camera_names, make_cards
from ninjacam.web.player import render_player, render_player_script

register = template.Library()

MAX_EVENTS = 100
MAX_DAYS = 366
_SCRIPT_DONE, _STYLE_DONE = "_ninjacam_player_script", "_ninjacam_embedded_style"
_DAY_NS = 24 * 3600 * 10**9
_ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z0-9_-]*\Z")


register.filter("translated", translate)
register.filter("message", lambda item: translate_item(item) if item else "")


@register.filter
def moment(value: datetime | None, show: Literal["time", "datetime", "relative"]) -> SafeString:
    """Return an element with a time, which scripts convert to the time zone of the browser; "" for None.

    `show`: "time" only below a heading with the day in the current time zone of Django; "relative": how long ago, with
    scripts, for a day.
    """
    if value is None:
        return SafeString("")
    local = timezone.localtime(value)
    text = date_format(local, "H:i:s" if show == "time" else "SHORT_DATETIME_FORMAT")
    return format_html(
        '<time datetime="{}" data-show="{}">{}</time>', local.isoformat("T", "seconds"), show, text
    )


@register.simple_tag(takes_context=True)
def camera(context: Context, camera: Camera | str, **attributes: object) -> SafeString:
    """Return a player for `camera` (a Camera or its short name), or a note if the request's user may not view it.

    `attributes`: of the element (view, overlay, controls, fit, format, stream, width) and of HTML (class, id).
    Raises: TemplateSyntaxError: the context has no request, or an attribute is unknown.
    """
    request = _request(context, "camera")
    _check_attributes(attributes, "camera")
    user = getattr(request, "user", None) or AnonymousUser()
    found = camera if isinstance(camera, Camera) else Camera.objects.filter(slug=str(camera)).first()
    if found is None and settings.DEBUG:
        return _note(_("No camera “%(slug)s”.") % {"slug": camera})
    if found is None or not may(user, "view", found):
        # The same text in both cases: users who may not view a camera must not learn that it exists.
        logged_in = user.is_authenticated
        return _note(_("You may not view this camera.") if logged_in else _("Log in to see this camera."))
    return format_html("{}{}", _script_once(request), render_player(found.slug, attributes))


@register.simple_tag(takes_context=True)
def camera_wall(context: Context, *cameras: Camera | str, **attributes: object) -> SafeString:
    """Return players for `cameras` (each a Camera or its short name), in this order, or for all, by short name. Cameras
    that the request's user may not view are left out.

    `attributes`: as of `camera`, for each player. Raises: TemplateSyntaxError, as `camera`.
    """
    request = _request(context, "camera_wall")
    _check_attributes(attributes, "camera_wall")
    who = _principal(request)
    if who is None:
        return _note(_("Log in to see the cameras."))
    visible = {each.slug: each for each in list_cameras(who)}
    slugs = dict.fromkeys(map(_slug, cameras)) if cameras else visible
    tiles = [
        {"camera": visible[slug], "player": render_player(slug, attributes)}
        for slug in slugs
        if slug in visible
    ]
    rendered = render_to_string("ninjacam/tags/camera_wall.html", {"tiles": tiles}, request)
    return format_html("{}{}{}", _style_once(request), _script_once(request), rendered)


@register.simple_tag(takes_context=True)
def events(
    context: Context, *cameras: Camera | str, limit: int = 10, kind: str = "", label: str = "", days: int = 7
) -> SafeString:
    """Return the newest events of `cameras` (each a Camera or its short name), or of all that the request's user may
    replay.

    `limit`: at most MAX_EVENTS. `kind`, `label`: only events of this kind, or whose label contains this; "": any.
    `days`: only events of the last days, at most MAX_DAYS.
    Raises: TemplateSyntaxError: the context has no request, or a number is out of range.
    """
    request = _request(context, "events")
    for name, value, most in (("limit", limit, MAX_EVENTS), ("days", days, MAX_DAYS)):
        if not isinstance(value, int) or not 1 <= value <= most:
            raise template.TemplateSyntaxError(f"{{% events %}}: {name} must be a number from 1 to {most}.")
    who = _principal(request)
    if who is None:
        return _note(_("Log in to see the events."))
    now_ns = time.time_ns()
    conditions = EventFilter(kinds=(kind,) if kind else (), label=label)
    wanted = list(dict.fromkeys(map(_slug, cameras)))
    try:
        found = list_events(who, wanted, now_ns - days * _DAY_NS, now_ns, conditions)
    except (NotFoundError, ForbiddenError):
        # The same text in both cases, as in `camera`.
        return _note(_("You may not see these events."))
    newest = list(found.order_by("-start_ns", "-pk")[:limit])
    cards = make_cards(who, newest, camera_names(who))
    return format_html(
        "{}{}", _style_once(request), render_to_string("ninjacam/tags/events.html", {"cards": cards}, request)
    )


@register.simple_tag(takes_context=True)
def player_script(context: Context) -> SafeString:
    """Return only the player's module, for templates that contain the element themselves."""
    return _script_once(context["request"])


def _request(context: Context, tag: str) -> HttpRequest:
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise template.TemplateSyntaxError(
            f"{{% {tag} %}} needs `request` in the context: render with the request, and enable "
            "django.template.context_processors.request."
        )
    return request


def _check_attributes(attributes: Mapping[str, object], tag: str) -> None:
    for name in attributes:
        if not _ATTRIBUTE.match(name):
            raise template.TemplateSyntaxError(f"{{% {tag} %}} has no attribute {name!r}.")


def _principal(request: HttpRequest) -> Principal | None:
    """Return the user of the page; None: nobody has logged in."""
    user = getattr(request, "user", None)
    if isinstance(user, AbstractBaseUser) and user.is_authenticated and user.is_active:
        return Principal(user, "session")
    return None


def _slug(camera: Camera | str) -> str:
    return camera.slug if isinstance(camera, Camera) else str(camera)


def _style_once(request: HttpRequest) -> SafeString:
    if getattr(request, _STYLE_DONE, False):
        return SafeString("")
    setattr(request, _STYLE_DONE, True)
    return format_html('<link rel="stylesheet" href="{}">', static("ninjacam/player/embedded.css"))


def _script_once(request: HttpRequest) -> SafeString:
    if getattr(request, _SCRIPT_DONE, False):
        return SafeString("")
    setattr(request, _SCRIPT_DONE, True)
    return render_player_script()


def _note(text: str) -> SafeString:
    return format_html('<p class="ninjacam-note" role="note">{}</p>', text)
