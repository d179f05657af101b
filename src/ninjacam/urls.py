"""All URLs of Ninjacam, below one mount point: `path("cam/", include("ninjacam.urls"))`.

Names: `ninjacam:...` for pages and live streams, `ninjacam-api:...` for the API.
"""

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils.translation import gettext as _

from ninjacam.api import urls as api_urls
from ninjacam.api.errors import problem_response
from ninjacam.problems import Problem
from ninjacam.web.urls import urlpatterns as page_patterns


def not_wrapped(request: HttpRequest, **_kwargs: object) -> HttpResponse:
    """Return 503 with an explanation. If `ninjacam.asgi` is in use, it handles these paths before Django does."""
    if isinstance(request, ASGIRequest):
        detail = _(
            "The ASGI application of this project does not use Ninjacam. Add to asgi.py: "
            "application = ninjacam.asgi.get_application(application)"
        )
    else:
        detail = _(
            "This server cannot stream, because it uses WSGI, as `runserver` does. "
            "Start `python manage.py ninjacam_serve`, or any ASGI server, instead."
        )
    return problem_response(Problem(503, "not_wrapped", detail))


_live_patterns = [
    path("live/ws", not_wrapped, name="live-ws"),
    path("live/<slug:slug>/mjpeg", not_wrapped, name="live-mjpeg"),
    path("live/<slug:slug>/snapshot.jpg", not_wrapped, name="live-snapshot"),
    path("rec/<slug:slug>/hls.m3u8", not_wrapped, name="rec-hls"),
    path("rec/<slug:slug>/segment/<int:segment_id>.mp4", not_wrapped, name="rec-segment"),
    path("rec/<slug:slug>/clip.mp4", not_wrapped, name="rec-clip"),
    path("rec/<slug:slug>/at.jpg", not_wrapped, name="rec-at"),
    path("rec/<slug:slug>/export/<uuid:export_id>.mp4", not_wrapped, name="rec-export"),
    path("healthz", not_wrapped, name="healthz"),
    path("metrics", not_wrapped, name="metrics"),
]

urlpatterns = [
    path("api/v1/", api_urls()),
    path("", include((_live_patterns + page_patterns, "ninjacam"))),
]
