"""gunicorn benchmarks.seed.asgi:application --workers 4 -k uvicorn_worker.UvicornWorker"""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.seed.settings")
application = get_asgi_application()
