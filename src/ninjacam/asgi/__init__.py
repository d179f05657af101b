"""The one line that a project's asgi.py needs.

application = ninjacam.asgi.get_application(get_asgi_application())

Beside it in this package: the application that it returns, the answers for load balancers and Prometheus, and the end
of streams when the server stops.
"""

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from ninjacam.asgi.application import LiveApplication


def get_application(django_app: Any, *, limit_all: bool = False) -> LiveApplication:
    """Return an ASGI application: Ninjacam serves live video, `django_app` all else.

    `django_app`: Django's own, or anything that speaks ASGI (a Channels `ProtocolTypeRouter`). What this returns may
    itself stand inside another router, but then leaves the number of connections to it.

    `limit_all`: whether the limits on bodies, and on how many requests run at once, hold for all of Django's URLs. By
    default they hold for Ninjacam's own only, because the uploads of the other views of a project are its own affair.

    With DEBUG, static files are served as `runserver` serves them, so that the pages work under any ASGI server. In
    production that is the job of your web server or of WhiteNoise, as for all static files of a Django project.
    """
    if (
        settings.DEBUG
        and settings.STATIC_URL
        and isinstance(django_app, ASGIHandler)
        and "django.contrib.staticfiles" in settings.INSTALLED_APPS
    ):
        django_app = ASGIStaticFilesHandler(django_app)
    return LiveApplication(django_app, limit_all=limit_all)
