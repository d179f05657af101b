"""LIVE_TEST_DIR: parent of the database and the run directory. LIVE_TEST_OPTIONS: JSON, keys of NINJACAM."""

import json
import os
from pathlib import Path

_directory = Path(os.environ["LIVE_TEST_DIR"])
SECRET_KEY = "a key for tests only, and long enough to be one"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.wild.example"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(_directory / "db.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "ninjacam",
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "ninjacam.permissions.CameraGrantBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
LANGUAGES = [("en", "English"), ("ko", "Korean")]
LANGUAGE_CODE = "en"
ROOT_URLCONF = "tests.integration.live_site.urls"
USE_TZ = True
NINJACAM = {
    "DATA_DIR": str(_directory),
    "RUN_DIR": str(_directory / "run"),
    **json.loads(os.environ.get("LIVE_TEST_OPTIONS", "{}")),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
