"""The page by which a phone becomes a camera."""

import re
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.problems import problem_of
from ninjacam.queries.publishing import get_linked_key
from ninjacam.web.views import in_complete_language, title_of

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@require_safe
@never_cache
@in_complete_language
def show_publishing(request: HttpRequest, link: str) -> HttpResponse:
    """Show the page by which a phone becomes a camera. The link itself is the permission; no login is required."""
    try:
        key = get_linked_key(link)
    except NinjacamError as error:
        problem = problem_of(error)
        refused = {"title": title_of(problem), "detail": problem.detail}
        return render(request, "ninjacam/publish_error.html", refused, status=problem.status)
    strings = {
        "stopped": _("Stopped"),
        "starting": _("Starting the camera …"),
        "connecting": _("Connecting …"),
        "live": _("Live"),
        "again": _("The connection was lost. Connecting again …"),
        "denied": _(
            "The browser may not use the camera. Allow it in the settings of the browser, then reload the page."
        ),
        "missing": _("This device has no camera that the browser can use."),
        "in_use": _("The camera cannot be opened. Close other apps that use it."),
        "unsupported": _(
            "This browser cannot send H.264 video. Use Chrome or Edge from version 94, Safari from 16.4, "
            "or Firefox from 132 on a computer."
        ),
        "invalid": _("This link does not work any more. Scan a new code on the camera's page."),
        "busy": _("Another device is sending with this link. Stop it first."),
        "limit": _("The server is busy. Connecting again …"),
        "no_audio": _("Without sound: the microphone cannot be used."),
        "failed": _("The camera has stopped. Start it again."),
        "delay": _("{ms} ms delay, {kbps} kbit/s, {width} x {height}, {fps} frames/s"),
    }
    context = {
        "camera": key.camera,
        "strings": strings,
        "has_own_certificate": get_settings().has_own_certificate,
    }
    return render(request, "ninjacam/publish.html", context)


@require_safe
@never_cache
def download_certificate(request: HttpRequest) -> HttpResponse:
    """Return the self-signed certificate without its key, to be installed on devices. It is public: each handshake
    contains it."""
    config = get_settings()
    path = Path(config.certificate)
    is_there = config.has_own_certificate and path.is_file()
    found = _CERTIFICATE.search(path.read_bytes()) if is_there else None
    if found is None:
        raise Http404
    headers = {"Content-Disposition": 'attachment; filename="ninjacam.crt"'}
    return HttpResponse(found[0] + b"\n", content_type="application/x-x509-ca-cert", headers=headers)
