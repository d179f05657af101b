"""The one line that a project's asgi.py needs.

application = ninjacam.asgi.get_application(get_asgi_application())
"""

from typing import Any

from ninjacam.live.app import LiveApplication


def get_application(django_app: Any) -> LiveApplication:
    """An ASGI application: live video by Ninjacam, all else by `django_app`.

    `django_app`: Django's own, or anything that speaks ASGI (a Channels `ProtocolTypeRouter`). What this returns may
    itself stand inside another router.
    """
    return LiveApplication(django_app)
