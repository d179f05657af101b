"""`{% camera "door" view="edges" %}`: a live player in anybody's template."""

import re

from django import template
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ninjacam.models import Camera
from ninjacam.permissions import may
from ninjacam.web.player import render_player, render_player_script

register = template.Library()

_SCRIPT_DONE = "_ninjacam_player_script"
_ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z0-9_-]*\Z")


@register.simple_tag(takes_context=True)
def camera(context: Context, camera: Camera | str, **attributes: object) -> SafeString:
    """A player for `camera` (a Camera or its short name), or a note where the request's user may not see it.

    `attributes`: the element's (view, overlay, controls, fit, format, width) and any other of HTML (class, id).
    Raises: TemplateSyntaxError: the context has no request, or an attribute's name is not one.
    """
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise template.TemplateSyntaxError(
            "{% camera %} needs `request` in the context: render with the request, and enable "
            "django.template.context_processors.request."
        )
    for name in attributes:
        if not _ATTRIBUTE.match(name):
            raise template.TemplateSyntaxError(f"{{% camera %}} takes no attribute {name!r}.")
    user = getattr(request, "user", None) or AnonymousUser()
    found = camera if isinstance(camera, Camera) else Camera.objects.filter(slug=str(camera)).first()
    if found is None and settings.DEBUG:
        return _note(_("There is no camera “%(slug)s”.") % {"slug": camera})
    if found is None or not may(user, "view", found):
        # the same words for both: who may not see a camera is not told that it exists
        logged_in = user.is_authenticated
        return _note(_("You may not view this camera.") if logged_in else _("Log in to see this camera."))
    return format_html("{}{}", _script_once(request), render_player(found.slug, attributes))


@register.simple_tag(takes_context=True)
def player_script(context: Context) -> SafeString:
    """The player's module alone, for templates that write the element themselves."""
    return _script_once(context["request"])


def _script_once(request: HttpRequest) -> SafeString:
    if getattr(request, _SCRIPT_DONE, False):
        return SafeString("")
    setattr(request, _SCRIPT_DONE, True)
    return render_player_script()


def _note(text: str) -> SafeString:
    return format_html('<p class="ninjacam-note" role="note">{}</p>', text)
