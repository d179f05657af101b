"""`python -m ninjacam.processes.web_worker --fd N`: one ASGI worker on a socket on which its parent listens."""

import argparse
import asyncio
import functools
import gc
import os
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from types import FrameType
from typing import Any

import django
import uvicorn
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.template.loader import get_template
from django.urls import reverse
from django.utils.module_loading import import_string
from uvicorn.server import ServerState

from ninjacam.asgi import get_application
from ninjacam.asgi.application import LiveApplication
from ninjacam.conf import get_settings
from ninjacam.core.limits import keep_files_private
from ninjacam.core.server_certificate import ServerCertificate
from ninjacam.project import application_path


def make_config(application: Any, *, log_level: str = "warning", access_log: bool = False) -> uvicorn.Config:
    """Return uvicorn's configuration for Ninjacam: no permessage-deflate (50 times the CPU per frame), a bounded
    shutdown."""
    return uvicorn.Config(
        application,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=1 << 20,
        lifespan="on",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=20,
        access_log=access_log,
        server_header=False,
        log_level=log_level,
        forwarded_allow_ips=os.environ.get("NINJACAM_FORWARDED_ALLOW_IPS", "127.0.0.1"),
    )


def load_application(*, serve_static: bool = True) -> Any:
    """Return the project's ASGI application, wrapped by Ninjacam unless the project's asgi.py does so.

    Only Django's own handler is wrapped: any other application may already contain ours. `serve_static`: whether it
    serves static files with DEBUG, if it is wrapped here.

    Raises: ImportError: the setting ASGI_APPLICATION cannot be imported.
    """
    path = application_path()
    application: Any = import_string(path) if path else get_asgi_application()
    if not isinstance(application, ASGIHandler):
        return application
    wrap: Callable[[Any], LiveApplication] = get_application if serve_static else LiveApplication
    return wrap(application)


class DatedState(ServerState):
    """Uvicorn's state, with a Date header that is created when a response needs it. Uvicorn creates one ten times a
    second.

    Tested with uvicorn 0.54.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._config = config
        self._date_s = 0
        self._headers: list[tuple[bytes, bytes]] = []
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response."""
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s = now_s
            self._headers = [
                (b"date", formatdate(now_s, usegmt=True).encode()),
                *self._config.encoded_headers,
            ]
        return self._headers

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Do nothing: uvicorn's constructor assigns an empty list."""


class Server(uvicorn.Server):
    """A server that sleeps until it must exit. Uvicorn's own loop wakes up ten times a second, for the Date header
    and its state."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = DatedState(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exits = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._exits.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._exits.set)


@functools.cache
def load_config() -> uvicorn.Config:
    """Import all modules of a worker: the application, its URLs and templates, which would otherwise be loaded by
    requests.

    Raises: ConfigError: the certificate cannot be loaded.
    """
    config = make_config(load_application())
    config.load()
    settings = get_settings()
    if settings.tls:
        config.ssl = ServerCertificate(settings.certificate, settings.tls_key).listening_context()
    config.get_loop_factory()
    reverse("ninjacam:wall")
    for name in ("login", "wall", "camera"):
        get_template(f"ninjacam/{name}.html")
    return config


def run(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until stopped."""
    # Loaded objects are permanent: a full garbage collection of them would delay all streams by 0.1 s.
    gc.freeze()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(Server(config).serve(sockets=[listener]))


def main() -> None:
    keep_files_private()
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    django.setup()
    run(load_config(), socket.socket(fileno=arguments.fd))


if __name__ == "__main__":
    main()
