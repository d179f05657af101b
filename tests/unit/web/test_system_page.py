"""The pages of the system: what they show of the engine's report, without one, and of what is installed."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.auth import Principal
from ninjacam.models import Camera
from ninjacam.queries.status import read_status
from ninjacam.queries.system import list_packages, list_processes
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
SYSTEM, ABOUT, SETTINGS = (f"/administration/{name}/" for name in ("system", "about", "settings"))


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def report(run_dir: Path, **fields: Any) -> None:
    process = {"name": "capture-1", "kind": "capture", "pid": os.getpid(), "restarts": 3, "cameras": ["door"]}
    gone = {"name": "vision-1", "kind": "vision", "pid": 2**22 + 1, "restarts": 0, "cameras": []}
    content = {
        "updated_ns": time.time_ns(), "engine_pid": os.getpid(), "processes": [process, gone], **fields,
    }  # fmt: skip
    (run_dir / "status.json").write_text(json.dumps(content))


def test_processes_have_their_resources(run_dir: Path, admin_user: User) -> None:
    report(run_dir)
    found = {each.name: each for each in list_processes(Principal(admin_user, "session"), read_status())}
    assert list(found) == ["engine", "web", "capture-1", "vision-1"]
    own = found["capture-1"]
    assert own.restarts == 3 and own.cameras == ("door",)
    assert own.cpu_percent is not None and own.cpu_percent > 0
    assert own.memory_bytes is not None and 10 << 20 < own.memory_bytes < 100 << 30
    assert found["vision-1"].cpu_percent is None and found["vision-1"].memory_bytes is None


def test_cameras_and_views_are_shown(run_dir: Path, admin: Client, camera: Camera, yard: Camera) -> None:
    figures = {
        "state": "live", "codec": "H.264", "width": 1280, "height": 720, "fps": 24.96, "bitrate_bps": 1_234_567,
        "packet_loss": 0.0123, "jitter_s": 0.0042, "frames_dropped": 7, "reconnects": 2, "error": None,
    }  # fmt: skip
    failed = {"state": "failed", "error": {"code": "x", "message": "<i>refused</i>"}}
    views = {"door": {"": {}, "edges": {"ms_p50": 3.25, "ms_p95": 9.5, "dropped": 4, "failures": 5}}}
    report(run_dir, cameras={"door": figures, "yard": failed}, views=views)
    page = admin.get(SYSTEM).content.decode()
    for text in (
        "1280",
        "25.0",
        "1235",
        "1.23 %",
        "4.2 ms",
        "9.5 ms",
        "&lt;i&gt;refused&lt;/i&gt;",
        "edges",
    ):
        assert text in page, text
    assert 'role="alert"' not in page and "<i>refused" not in page


def test_without_an_engine_the_page_says_so(run_dir: Path, admin: Client, camera: Camera) -> None:
    page = admin.get(SYSTEM).content.decode()
    assert 'role="alert"' in page and "ninjacam serve" in page and "Back entrance" in page
    report(run_dir, updated_ns=time.time_ns() - 60 * 10**9, cameras={"door": {"state": "live", "fps": 25}})
    page = admin.get(SYSTEM).content.decode()
    assert 'role="alert"' in page and "25.0" not in page, "old figures are not shown as present ones"


def test_versions_and_licences_are_those_that_are_installed(admin: Client, admin_user: User) -> None:
    packages = {each.name.lower(): each for each in list_packages(Principal(admin_user, "session"))}
    assert next(iter(packages)) == "ninjacam" and packages["ninjacam"].licence == "MIT AND OFL-1.1"
    assert {"django", "django-ninja", "av", "numpy", "cryptography", "segno", "sqlparse"} <= packages.keys()
    assert "BSD" in packages["django"].licence and "pytest" not in packages
    assert [name for name, each in packages.items() if not each.licence] == []
    page = admin.get(ABOUT).content.decode()
    assert packages["django"].version in page and "Python 3." in page


def test_settings_are_shown_without_secrets(admin: Client, settings: Any) -> None:
    secret = "a-key-that-nobody-may-see"
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": [secret], "RETENTION": {"days": 12}}
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
    response = admin.get(SETTINGS)
    page = response.content.decode()
    assert secret not in page and settings.SECRET_KEY not in page
    shown = {each.key: each for each in response.context["settings"]}
    assert "days: 12" in shown["RETENTION"].value and shown["RETENTION"].is_set
    assert not shown["AUDIT_DAYS"].is_set and shown["AUDIT_DAYS"].value == "365"
    assert "ninjacam.W" in page, "what manage.py check reports"


def test_others_are_refused(viewer: User) -> None:
    client = signed_in(viewer)
    for path in (SYSTEM, ABOUT, SETTINGS):
        response = client.get(path)
        assert response.status_code == 403 and "door" not in response.content.decode()
