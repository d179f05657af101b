"""`{% camera "door" view="edges" %}`: a live player in any template."""

import re

from django import template
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ninjacam.languages import translate, translate_item
from ninjacam.models import Camera
from ninjacam.permissions import may
from ninjacam.web.player import render_player, render_player_script

register = template.Library()

_SCRIPT_DONE = "_ninjacam_player_script"
_ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z0-9_-]*\Z")


register.filter("translated", translate)
register.filter("message", lambda item: translate_item(item) if item else "")


@register.simple_tag(takes_context=True)
def camera(context: Context, camera: Camera | str, **attributes: object) -> SafeString:
    """Return a player for `camera` (a Camera or its short name), or a note if the request's user may not view it.

    `attributes`: of the element (view, overlay, controls, fit, format, stream, width) and of HTML (class, id).
    Raises: TemplateSyntaxError: the context has no request, or an attribute is unknown.
    """
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise template.TemplateSyntaxError(
            "{% camera %} needs `request` in the context: render with the request, and enable "
            "django.template.context_processors.request."
        )
    for name in attributes:
        if not _ATTRIBUTE.match(name):
            raise template.TemplateSyntaxError(f"{{% camera %}} has no attribute {name!r}.")
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
def player_script(context: Context) -> SafeString:
    """Return only the player's module, for templates that contain the element themselves."""
    return _script_once(context["request"])


def _script_once(request: HttpRequest) -> SafeString:
    if getattr(request, _SCRIPT_DONE, False):
        return SafeString("")
    setattr(request, _SCRIPT_DONE, True)
    return render_player_script()


def _note(text: str) -> SafeString:
    return format_html('<p class="ninjacam-note" role="note">{}</p>', text)
