import os

from django.core.asgi import get_asgi_application

from ninjacam.asgi import get_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")

application = get_application(get_asgi_application())  # Ninjacam, line 3 of 3
