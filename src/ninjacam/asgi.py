"""The one line that a project's asgi.py needs.

application = ninjacam.asgi.get_application(get_asgi_application())
"""

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from ninjacam.live.app import LiveApplication


def get_application(django_app: Any) -> LiveApplication:
    """An ASGI application: live video by Ninjacam, all else by `django_app`.

    `django_app`: Django's own, or anything that speaks ASGI (a Channels `ProtocolTypeRouter`). What this returns may
    itself stand inside another router.

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
    return LiveApplication(django_app)
