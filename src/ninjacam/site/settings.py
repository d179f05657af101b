"""The product's Django settings. Everything configurable comes from the environment (see `environment.py`)."""

import os

from django.conf import global_settings

from ninjacam.site import environment

DATA_DIR = environment.data_dir(os.environ)
SECRET_KEY = environment.secret_key(os.environ, DATA_DIR)
DEBUG = os.environ.get("NINJACAM_DEBUG") == "1"
ALLOWED_HOSTS = environment.hosts(os.environ)
CSRF_TRUSTED_ORIGINS = environment.origins(os.environ)
DATABASES = {"default": environment.database(os.environ, DATA_DIR)}
PREFIX = environment.prefix(os.environ)
FORCE_SCRIPT_NAME = PREFIX or None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

NINJACAM = {
    "DATA_DIR": DATA_DIR,
    "RELOAD": True,
    "FILES_DIR": str(DATA_DIR / "files"),
    "ALLOWED_NETWORKS": environment.networks(os.environ),
    "PUSH_NETWORKS": environment.push_networks(os.environ),
    "APP_NAME": os.environ.get("NINJACAM_APP_NAME", "").strip() or "Ninjacam",
    "RETENTION": environment.retention(os.environ),
    "TRUSTED_PROXIES": environment.trusted_proxies(os.environ),
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninjacam",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "ninjacam.site.middleware.secure_cookies",
    "ninjacam.site.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "ninjacam.web.middleware.accounts",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "ninjacam.site.urls"
ASGI_APPLICATION = "ninjacam.site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "ninjacam.permissions.CameraGrantBackend",
]
PASSWORD_HASHERS = [
    "ninjacam.site.hashers.BackgroundPBKDF2PasswordHasher",  # Replaces Django's hasher with the same format.
    *(name for name in global_settings.PASSWORD_HASHERS if not name.endswith(".PBKDF2PasswordHasher")),
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "ninjacam:login"
LOGIN_REDIRECT_URL = "ninjacam:wall"
LOGOUT_REDIRECT_URL = "ninjacam:login"

SESSION_COOKIE_NAME = (
    # Cookies ignore the port: a second Django project on this host must not log users out.
    "ninjacam_session"
)
CSRF_COOKIE_NAME = "ninjacam_csrf"
LANGUAGE_COOKIE_NAME = "ninjacam_language"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = f"{PREFIX}/"
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"  # Signed links are part of URLs.
X_FRAME_OPTIONS = "SAMEORIGIN"
# Behind a proxy with https, plain http to an address in the same network may be used as well, so
# ninjacam.site.middleware.secure_cookies decides for each request whether cookies are Secure.
HTTPS_HOSTS = environment.https_hosts(os.environ)
if CSRF_TRUSTED_ORIGINS and all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]  # Those into which all of Ninjacam's texts are translated.
LANGUAGE_COOKIE_AGE = 31_536_000  # One year.
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = environment.time_zone(os.environ)
USE_TZ = True
_mail = environment.mail_server(os.environ)
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.starts_tls, _mail.is_tls
DEFAULT_FROM_EMAIL = environment.email_sender(os.environ)
USE_I18N = True
STATIC_URL = f"{PREFIX}/static/"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        "strangers": {"()": "ninjacam.front_door.log_limits.StrangersFilter"},
        "setup_links": {"()": "ninjacam.site.logs.SetupLinkFilter"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["setup_links"]}
    },
    "root": {"handlers": ["stderr"], "level": environment.log_level(os.environ)},
    "loggers": {
        "django": {"level": "WARNING", "handlers": [], "propagate": True},
        "django.request": {"filters": ["strangers"]},
        "django.security.DisallowedHost": {"filters": ["strangers"]},
        "django.security.csrf": {"filters": ["strangers"]},
    },
}
