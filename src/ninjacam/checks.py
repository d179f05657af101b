"""System checks, run by `manage.py check`. E: an error; Ninjacam does not work. W: a warning.

ninjacam.E001  the setting NINJACAM is invalid
ninjacam.W001  the authentication backend is missing
ninjacam.W002  SQLite without WAL
ninjacam.W003  GZipMiddleware
ninjacam.W004  opencv-python and opencv-python-headless are both installed
ninjacam.W005  data inside MEDIA_ROOT
ninjacam.W006  the project has no ASGI application
ninjacam.W007  asgi.py does not use Ninjacam
ninjacam.W008  nothing will serve the static files
ninjacam.W009  `runserver` is that of another app
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.management import get_commands

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.models.camera import OWN_BACKEND
from ninjacam.project import application_path, leads_somewhere


@register()
def check_ninjacam(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [*_check_settings(), *_check_project()]


def _check_settings() -> Iterator[CheckMessage]:
    try:
        config = get_settings()
    except ConfigError as error:
        yield Error(error.message, id="ninjacam.E001")
        return
    media = str(getattr(settings, "MEDIA_ROOT", "") or "")
    inside = [
        key
        for key, path in (
            ("DATA_DIR", config.data_dir),
            ("RECORDINGS_DIR", config.recordings_dir),
            ("EXPORTS_DIR", config.exports_dir),
        )
        if media and path.is_relative_to(Path(media).absolute())
    ]
    if inside:
        yield Warning(
            f"NINJACAM[{inside[0]!r}] is inside MEDIA_ROOT, which web servers publish: "
            "anyone could download the recordings.",
            id="ninjacam.W005",
        )


def _check_project() -> Iterator[CheckMessage]:
    if OWN_BACKEND not in settings.AUTHENTICATION_BACKENDS:
        yield Warning(
            "user.has_perm('ninjacam.view_camera', camera) ignores the camera grants. Ninjacam itself uses them.",
            hint=f"Add {OWN_BACKEND!r} to AUTHENTICATION_BACKENDS, after Django's own.",
            id="ninjacam.W001",
        )
    database = settings.DATABASES.get("default", {})
    in_file = database.get("ENGINE", "").endswith("sqlite3") and "memory" not in str(database.get("NAME"))
    if in_file and "journal_mode=wal" not in str(database.get("OPTIONS", {})).lower().replace(" ", ""):
        yield Warning(
            "SQLite is used without WAL, so the processes will block each other with locks.",
            hint="OPTIONS={'transaction_mode': 'IMMEDIATE', 'timeout': 20, 'init_command': "
            "'PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;'}",
            id="ninjacam.W002",
        )
    if "django.middleware.gzip.GZipMiddleware" in settings.MIDDLEWARE:
        yield Warning(
            "GZipMiddleware compresses responses that contain secrets (BREACH) and images that do not get smaller.",
            hint="Leave compression to the web server in front.",
            id="ninjacam.W003",
        )
    if _installed("opencv-python") and _installed("opencv-python-headless"):
        yield Warning(
            "opencv-python and opencv-python-headless are both installed and overwrite each other's cv2 module.",
            hint="Uninstall both, then install opencv-python-headless.",
            id="ninjacam.W004",
        )
    yield from _check_application()
    yield from _check_runserver()
    if not settings.DEBUG and not settings.STATIC_ROOT and not _serves_static_files():
        yield Warning(
            "DEBUG is off and STATIC_ROOT is not set, so Ninjacam's pages will have no styles and scripts.",
            hint="Set STATIC_ROOT, run `collectstatic`, and let your web server or WhiteNoise serve the files.",
            id="ninjacam.W008",
        )


def _check_application() -> Iterator[CheckMessage]:
    path = application_path()
    if path is None:
        yield Warning(
            "The project has no ASGI application, so only `ninjacam_serve` can show live video.",
            hint="Set ASGI_APPLICATION = 'mysite.asgi.application', wrapped by ninjacam.asgi.get_application().",
            id="ninjacam.W006",
        )
    elif not _mentions_ninjacam(path.rpartition(".")[0]):
        yield Warning(
            f"{path} does not use Ninjacam, so players show no live video under any server but `ninjacam_serve`.",
            hint="Add to this module: import ninjacam.asgi; "
            "application = ninjacam.asgi.get_application(application)",
            id="ninjacam.W007",
        )


def _serves_static_files() -> bool:
    """Return whether STATIC_URL points to another host or to a view of the project."""
    parts = urlsplit(settings.STATIC_URL or "")
    return bool(parts.netloc) or leads_somewhere(parts.path + "ninjacam/pages/pages.css")


def _check_runserver() -> Iterator[CheckMessage]:
    owner = get_commands().get("runserver")
    name = owner.name if isinstance(owner, AppConfig) else str(owner)
    if settings.DEBUG and name not in ("ninjacam", "django.core"):
        yield Warning(
            f"`manage.py runserver` is that of {name!r}, which does not run the engine, so it shows no cameras.",
            hint=f"Put 'ninjacam' before {name!r} in INSTALLED_APPS, or use `manage.py ninjacam_serve`.",
            id="ninjacam.W009",
        )


def _mentions_ninjacam(module: str) -> bool:
    """Return whether the source of `module` mentions Ninjacam. It is not imported: a project's asgi.py may have side
    effects."""
    try:
        found = importlib.util.find_spec(module)
        source = Path(found.origin).read_text("utf-8", "replace") if found and found.origin else ""
    except (ImportError, OSError):
        return True  # The server's error message is more specific.
    return "ninjacam" in source or not source


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
