"""System checks, `manage.py check`. E: it does not work. W: it works worse than it could.

ninjacam.E001  the setting NINJACAM is wrong
ninjacam.W001  the authentication backend is missing
ninjacam.W002  SQLite without WAL
ninjacam.W003  GZipMiddleware
ninjacam.W004  opencv-python beside opencv-python-headless
ninjacam.W005  data inside MEDIA_ROOT
ninjacam.W006  ASGI_APPLICATION is not set
"""

import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.models.camera import OWN_BACKEND


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
            f"NINJACAM[{inside[0]!r}] lies in MEDIA_ROOT, which web servers publish: "
            "recordings would need no permission.",
            id="ninjacam.W005",
        )


def _check_project() -> Iterator[CheckMessage]:
    if OWN_BACKEND not in settings.AUTHENTICATION_BACKENDS:
        yield Warning(
            "user.has_perm('ninjacam.view_camera', camera) does not know the grants. Ninjacam itself does.",
            hint=f"Add {OWN_BACKEND!r} to AUTHENTICATION_BACKENDS, after Django's own.",
            id="ninjacam.W001",
        )
    database = settings.DATABASES.get("default", {})
    in_file = database.get("ENGINE", "").endswith("sqlite3") and "memory" not in str(database.get("NAME"))
    if in_file and "journal_mode=wal" not in str(database.get("OPTIONS", {})).lower().replace(" ", ""):
        yield Warning(
            "SQLite is used without WAL: readers and writers of the several processes will lock each other out.",
            hint="OPTIONS={'transaction_mode': 'IMMEDIATE', 'timeout': 20, 'init_command': "
            "'PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;'}",
            id="ninjacam.W002",
        )
    if "django.middleware.gzip.GZipMiddleware" in settings.MIDDLEWARE:
        yield Warning(
            "GZipMiddleware compresses answers that hold secrets (BREACH) and pictures that do not get smaller.",
            hint="Leave compression to the server in front.",
            id="ninjacam.W003",
        )
    if _installed("opencv-python") and _installed("opencv-python-headless"):
        yield Warning(
            "opencv-python and opencv-python-headless are both installed: they overwrite each other's cv2.",
            hint="Uninstall both, then install opencv-python-headless.",
            id="ninjacam.W004",
        )
    if not getattr(settings, "ASGI_APPLICATION", None):
        yield Warning(
            "ASGI_APPLICATION is not set: `ninjacam_serve` does not know what to run.",
            hint="ASGI_APPLICATION = 'mysite.asgi.application', wrapped by ninjacam.asgi.get_application().",
            id="ninjacam.W006",
        )


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
