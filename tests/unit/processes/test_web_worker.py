import asyncio
import os
import signal
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import uvicorn
from django.core.asgi import get_asgi_application

from ninjacam.asgi import get_application
from ninjacam.asgi.application import LiveApplication
from ninjacam.processes import web_worker
from ninjacam.processes.web_worker import DatedState, Server
from tests.harness.processes import ROOT

plain = get_asgi_application()
wrapped = get_application(plain)


async def application(scope: Any, receive: Any, send: Any) -> None: ...


def make_config() -> uvicorn.Config:
    config = uvicorn.Config(application, headers=[("x-camera", "door")], server_header=False)
    config.load()
    return config


def test_the_date_of_a_response_is_that_of_the_current_second(monkeypatch: pytest.MonkeyPatch) -> None:
    state = DatedState(make_config())
    for now_s in (1_700_000_000.2, 1_700_000_000.9, 1_700_000_030.1):
        monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
        headers = dict(state.default_headers)
        assert parsedate_to_datetime(headers[b"date"].decode()).timestamp() == int(now_s)
        assert headers[b"x-camera"] == b"door"


def test_a_worker_imports_nothing_that_starts_threads_because_its_parent_forks() -> None:
    code = (
        "import django, os, sys; django.setup();"
        "from ninjacam.management.commands import ninjacam_engine; from ninjacam.processes import web_worker;"
        "web_worker.load_config();"
        "print(len(os.listdir('/proc/self/task')), sorted({'numpy', 'cv2', 'av', 'onnxruntime'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert ended.stdout == "1 []\n"


def test_a_server_without_work_sleeps_until_it_is_to_exit() -> None:
    async def script() -> None:
        server = Server(make_config())
        assert isinstance(server.server_state, DatedState)
        running = asyncio.ensure_future(server.main_loop())
        await asyncio.sleep(0)
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert not timers and not running.done()
        server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(5):
            await running

    asyncio.run(script())


def test_a_signal_before_the_server_runs_is_not_missed() -> None:
    async def script() -> None:
        server = Server(make_config())
        server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(5):
            await server.main_loop()

    asyncio.run(script())


def test_a_project_without_an_asgi_application_is_served(settings: Any) -> None:
    settings.ASGI_APPLICATION = None
    settings.ROOT_URLCONF = "nowhere.urls"
    assert isinstance(web_worker.load_application(), LiveApplication)


def test_an_asgi_application_that_does_not_use_ninjacam_is_wrapped(settings: Any) -> None:
    settings.ASGI_APPLICATION = "tests.unit.processes.test_web_worker.plain"
    assert isinstance(web_worker.load_application(), LiveApplication)
    settings.ASGI_APPLICATION = "tests.unit.processes.test_web_worker.wrapped"
    assert web_worker.load_application() is wrapped
