"""The product's ASGI application: `uvicorn ninjacam.site.asgi:application`."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ninjacam.site.settings")
django_application = get_asgi_application()

from ninjacam.asgi import get_application  # noqa: E402 (needs the settings)
from ninjacam.site.prefix import below_prefix  # noqa: E402

application = below_prefix(get_application(django_application), settings.PREFIX)
