"""Settings for the tests: the product's, with an in-memory database and without environment variables."""

import os
import tempfile

_data = tempfile.TemporaryDirectory(prefix="ninjacam-tests-")
os.environ["NINJACAM_DATA"] = _data.name
os.environ["NINJACAM_SECRET_KEY"] = "a key for tests only, and long enough to be one"
for _name in ("DATABASE_URL", "NINJACAM_HOSTS", "NINJACAM_ORIGINS", "NINJACAM_DEBUG", "NINJACAM_RETENTION"):
    os.environ.pop(_name, None)

from ninjacam.site.settings import *  # noqa: E402, F403

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.urls"
