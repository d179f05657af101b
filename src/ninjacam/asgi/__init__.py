"""The function that a project's asgi.py calls.

application = ninjacam.asgi.get_application(get_asgi_application())

Also in this package: the application that it returns, the endpoints for load balancers and Prometheus, and the end
of streams when the server stops.
"""

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from ninjacam.asgi.application import LiveApplication


def get_application(django_app: Any, *, limit_all: bool = False) -> LiveApplication:
    """Return an ASGI application in which Ninjacam serves live video and `django_app` all other requests.

    `django_app`: Django's application, or any ASGI application (a Channels `ProtocolTypeRouter`). The returned
    application may be part of another router, but then does not limit the number of connections.

    `limit_all`: whether the limits on request bodies and concurrent requests apply to all of Django's URLs. By
    default, they apply only to Ninjacam's URLs, because other views of the project may accept large uploads.

    With DEBUG, static files are served as `runserver` does, so the pages work under any ASGI server. In production,
    your web server or WhiteNoise must serve them, as in any Django project.
    """
    if (
        settings.DEBUG
        and settings.STATIC_URL
        and isinstance(django_app, ASGIHandler)
        and "django.contrib.staticfiles" in settings.INSTALLED_APPS
    ):
        django_app = ASGIStaticFilesHandler(django_app)
    return LiveApplication(django_app, limit_all=limit_all)
