"""What makes the pages an application that can be installed: manifest, service worker, and the page without a server.

All three are the same for each visitor, and contain nothing private.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

import ninjacam
from ninjacam.conf import get_settings
from ninjacam.web.views import in_complete_language

ICONS = (
    ("icon-192.png", "192x192", "any"),
    ("icon-512.png", "512x512", "any"),
    ("icon-maskable-512.png", "512x512", "maskable"),
)
SHELL = ("pages.css", "offline.css", "offline.js", "icon.svg")
"""The files of the page without a server."""
_SCRIPT = Path(ninjacam.__file__).parent / "static/ninjacam/pages/service-worker.js"


def _asset(name: str) -> str:
    return static(f"ninjacam/pages/{name}")


@require_safe
@cache_control(max_age=3600, public=True)
def show_manifest(request: HttpRequest) -> HttpResponse:
    """Return the web app manifest (W3C)."""
    base, name = reverse("ninjacam:wall"), get_settings().app_name
    manifest = {
        "id": base,
        "start_url": base,
        "scope": base,
        "name": name,
        "short_name": name[:12].strip(),
        "display": "standalone",
        "background_color": "#12181f",
        "theme_color": "#12181f",
        "icons": [
            {"src": _asset(file), "sizes": sizes, "type": "image/png", "purpose": purpose}
            for file, sizes, purpose in ICONS
        ],
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True, public=True)
@in_complete_language
def show_offline(request: HttpRequest) -> HttpResponse:
    """Show that the server cannot be reached. The service worker keeps this page."""
    return render(request, "ninjacam/offline.html", {"app_name": get_settings().app_name})


@require_safe
@cache_control(no_cache=True)
@in_complete_language
def serve_worker(request: HttpRequest) -> HttpResponse:
    """Serve the script of the service worker, whose scope is the mount point because it is stored there. Any change of
    the script, of the offline page or of Ninjacam's version makes browsers install it again.
    """
    script = _script()
    shell = [_asset(name) for name in SHELL]
    page = render_to_string("ninjacam/offline.html", {"app_name": get_settings().app_name})
    parts = (ninjacam.__version__, script, page, *shell, *map(_digest, SHELL))
    settings = {
        "version": hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16],
        "offline": reverse("ninjacam:offline"),
        "mute": reverse("ninjacam:notifications-mute"),
        "notifications": reverse("ninjacam:notifications"),
        "shell": shell,
        "icon": _asset("icon-192.png"),
        "badge": _asset("icon-badge.png"),
        "name": get_settings().app_name,
    }
    head = f"self.ninjacam = {json.dumps(settings)};\n"
    return HttpResponse(head + script, content_type="text/javascript; charset=utf-8")


@lru_cache(maxsize=1)
def _script() -> str:
    return _SCRIPT.read_text(encoding="utf-8")


@lru_cache(maxsize=len(SHELL))
def _digest(name: str) -> str:
    return hashlib.sha256(_SCRIPT.with_name(name).read_bytes()).hexdigest()
