"""The checks of `ninjacam doctor`: one function per area, each yielding findings."""

import importlib
import importlib.metadata
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError, ModelError, UnsupportedSchemeError
from ninjacam.core.packets import CameraState
from ninjacam.credentials import unseal
from ninjacam.engine.events import DISK_LOW_TEXT
from ninjacam.engine.findings import Level
from ninjacam.inference.stored import list_stored
from ninjacam.management.private import private_paths
from ninjacam.management.proxy import look_through, origins
from ninjacam.models import Camera
from ninjacam.processes.processor_modules import PRODUCT_SETTINGS, processor_modules
from ninjacam.queries.status import read_status
from ninjacam.sources.registry import scheme_of

MIN_FREE_BYTES = 1 << 30
MIN_FILES = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. OK: no problem. WARN: works with restrictions. FIX: must be corrected."""

    level: Literal["OK", "WARN", "FIX"]
    text: str


Findings = Iterator[Finding]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def look_at_python() -> Findings:
    python = ".".join(map(str, sys.version_info[:3]))
    level: Literal["OK", "FIX"] = "OK" if sys.version_info >= (3, 11) else "FIX"
    yield Finding(
        level, f"Python {python}, Django {_version('Django')}, django-ninja {_version('django-ninja')}"
    )
    if "" in (os.environ.get("PYTHONPATH") or "-").split(os.pathsep):
        yield Finding(
            "FIX",
            "PYTHONPATH contains an empty item, so Python imports from the current directory. "
            "Remove the colon at its start or end, or the doubled one",
        )
    for module, package in (("av", "av"), ("cv2", "opencv-python-headless")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Finding(
                "FIX", f"{module} cannot be imported ({error}). Run: pip install --force-reinstall {package}"
            )
        else:
            yield Finding("OK", f"{module} {_version(package)}".strip())
    if _version("opencv-python") and _version("opencv-python-headless"):
        yield Finding(
            "WARN",
            "opencv-python and opencv-python-headless are both installed and overwrite each other. Run: "
            "pip uninstall opencv-python opencv-python-headless; pip install opencv-python-headless",
        )


def look_at_codecs() -> Findings:
    try:
        import av
    except ImportError:
        return
    wanted: tuple[tuple[str, Literal["r", "w"], str], ...] = (
        ("libx264", "w", "processed views are sent as MJPEG only"),
        ("h264", "r", "H.264 cameras cannot be decoded"),
        ("hevc", "r", "H.265 cameras cannot be decoded"),
    )
    for name, mode, loss in wanted:
        try:
            av.codec.Codec(name, mode)
        except (av.FFmpegError, ValueError):
            yield Finding(
                "WARN", f"PyAV's FFmpeg has no {name}: {loss}. Use PyAV's own wheel: pip install av"
            )
        else:
            yield Finding("OK", f"codec {name}")


def look_at_inference() -> Findings:
    """Report the inference engines, the preferred one, and models that cannot be used."""
    try:
        from ninjacam.inference.engines import find_engines
    except ImportError:
        return  # OpenCV cannot be imported, which `look_at_python` reports.
    for engine in find_engines():
        yield Finding("OK", f"networks run on {engine.name}: {', '.join(engine.devices)}")
    for _name, found in list_stored(get_settings().models_dir):
        if isinstance(found, ModelError):
            yield Finding("WARN", found.message)


def look_at_server() -> Findings:
    uvicorn = _version("uvicorn")
    if not uvicorn:
        yield Finding(
            "WARN",
            "`ninjacam serve` needs uvicorn, which is not installed. Run: pip install 'ninjacam[server]'",
        )
        return
    yield Finding("OK", f"uvicorn {uvicorn}; if you start it yourself, use --ws-per-message-deflate false")


def look_at_host() -> Findings:
    config = get_settings()
    for name, path in (("data", config.data_dir), ("run", config.run_dir)):
        existing = next(each for each in (path, *path.parents) if each.exists())
        if not os.access(existing, os.W_OK):
            yield Finding("FIX", f"This user cannot write to the {name} directory {path}.")
    existing = next(each for each in (config.data_dir, *config.data_dir.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    yield Finding(
        "OK" if free >= MIN_FREE_BYTES else "WARN", f"{free / 1e9:.1f} GB free for {config.data_dir}"
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MIN_FILES:
        yield Finding("WARN", f"The limit of open files is only {soft}. Run: ulimit -n {min(hard, 65536)}")
    else:
        yield Finding("OK", f"the limit of open files is {soft}")


def look_at_modes() -> Findings:
    """Report files that other users of this host can read."""
    in_development = settings.DEBUG and settings.SETTINGS_MODULE != PRODUCT_SETTINGS
    loose = [(each, mode) for each in private_paths(get_settings()) if (mode := each.mode()) is not None]
    for each, mode in loose:
        level: Literal["WARN", "FIX"] = "WARN" if in_development and each.what == "database" else "FIX"
        text = f"Other users can read the {each.what} {each.path} (mode {mode:o}). Run: {each.command}"
        yield Finding(level, text)
    if not loose:
        yield Finding("OK", "only this user can read data, database and keys")


def look_at_code() -> Findings:
    """Report processor modules that other users can modify. Vision workers refuse to load them."""
    for file in processor_modules(get_settings()):
        if refusal := file.refusal():
            yield Finding("FIX", refusal)


def look_at_checks() -> Findings:
    """Run our system checks: settings, permissions, socket paths, middleware."""
    problems = [problem for problem in run_checks() if (problem.id or "").startswith("ninjacam.")]
    for problem in problems:
        level: Literal["WARN", "FIX"] = "FIX" if problem.is_serious() else "WARN"
        yield Finding(level, f"{problem.msg} {problem.hint or ''} ({problem.id})")
    if not problems:
        yield Finding("OK", "settings")


def look_at_database() -> Findings:
    name = f"{connection.vendor} {Path(str(settings.DATABASES['default']['NAME'])).name}"
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding("FIX", f"The database {name} does not respond: {error}".strip())
        return
    if behind:
        yield Finding("FIX", f"The database {name} is {len(behind)} migrations behind. Run `migrate`")
        return
    yield Finding("OK", f"database {name}")
    yield from _look_at_rows()


def _look_at_rows() -> Findings:
    if not get_user_model()._default_manager.filter(is_active=True).exists():
        yield Finding("FIX", "Nobody can log in yet. Run: ninjacam createuser NAME")
    for camera in Camera.objects.prefetch_related("streams"):
        try:
            unseal(camera.credentials)
        except ConfigError as error:
            yield Finding("FIX", f"{camera.slug}: {error.message}")
        for stream in camera.streams.all():
            try:
                stream.source()
                scheme_of(stream.url)
            except (ConfigError, UnsupportedSchemeError) as error:
                yield Finding("FIX", f"{stream}: {error.message}")
        try:
            scheme_of(camera.url)
        except UnsupportedSchemeError as error:
            yield Finding("FIX", f"{camera.slug}: {error.message}")


def look_at_engine() -> Findings:
    """Report the state of the engine. Must follow the database check: it reads the cameras."""
    try:
        cameras = list(Camera.objects.all())
    except DatabaseError:
        return
    status = read_status()
    if not status.engine_running:
        yield Finding("WARN", "The engine is not running. Run `ninjacam serve`, or manage.py ninjacam_engine")
        return
    yield Finding("OK", f"engine running, {len(status.processes)} processes")
    for camera in cameras:
        report = status.camera(camera, details=True)
        error = report.get("error") or {}
        state = report["state"]
        good = state in {CameraState.LIVE, CameraState.DISABLED, CameraState.CONNECTING, CameraState.ASLEEP}
        yield Finding(
            "OK" if good else "WARN",
            f"camera {camera.slug}: {state}. {error.get('message', '')}".rstrip(" ."),
        )
        for finding in report.get("findings", ()):
            yield Finding(
                "OK" if finding["level"] == Level.INFO else "WARN",
                f"camera {camera.slug}: {finding['message']} {finding['advice']}",
            )
    if status.recordings.get("disk_low"):
        yield Finding("FIX", DISK_LOW_TEXT)
    for module in status.modules:
        if module.get("error"):
            last = str(module["error"]).strip().rpartition("\n")[2]
            yield Finding("FIX", f"{module['module']} cannot be imported: {last}")


def look_at_proxy() -> Findings:
    """Check the proxy. Only while the server is running: the proxy forwards our requests to it."""
    if not read_status().engine_running:
        return
    for origin in origins():
        faults = list(look_through(origin))
        yield from (Finding("WARN", fault) for fault in faults)
        if not faults:
            yield Finding("OK", f"proxy {origin}")


PARTS: tuple[Callable[[], Findings], ...] = (
    look_at_python,
    look_at_codecs,
    look_at_inference,
    look_at_server,
    look_at_checks,
    look_at_host,
    look_at_modes,
    look_at_code,
    look_at_database,
    look_at_engine,
    look_at_proxy,
)
