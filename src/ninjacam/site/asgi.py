"""The ASGI application of the product: `uvicorn ninjacam.site.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ninjacam.site.settings")
django_application = get_asgi_application()

from ninjacam.asgi import get_application  # noqa: E402 (needs the settings)

application = get_application(django_application, limit_all=True)
