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
from ninjacam.routes import ROUTES
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
            "This server cannot stream, because it uses WSGI. Put “ninjacam” first in INSTALLED_APPS, so that "
            "`runserver` can, or start `python manage.py ninjacam_serve` or any ASGI server instead."
        )
    return problem_response(Problem(503, "not_wrapped", detail))


_route_patterns = [path(route.pattern, not_wrapped, name=route.name) for route in ROUTES]

urlpatterns = [
    # Must come first, because the API responds with 404 to all other paths below its own.
    path("", include((_route_patterns + page_patterns, "ninjacam"))),
    path("api/v1/", api_urls()),
]
