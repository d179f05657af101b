"""`ninjacam serve`: run the engine and the ASGI workers."""

import contextlib
import fcntl
import functools
import os
import socket
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connections

from ninjacam.actions.setup import make_setup_token
from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.core.interpreter import python_command
from ninjacam.management.base import OwnCommand
from ninjacam.management.certificate import prepare_certificate
from ninjacam.supervision.process_supervisor import ProcessSupervisor, SupervisedProcess

MAX_PORT = 65_535
BACKLOG = 512
PRODUCT_URLS = "ninjacam.site.urls"
"""The only URLs with the page of the setup link."""


def port_number(text: str) -> int:
    """Return a port number. Raises: ArgumentTypeError: out of range; the socket layer would truncate it to 16 bits."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise ArgumentTypeError(f"{text!r} is not a port: use a number from 0 to {MAX_PORT}")
    return int(text)


def default_workers() -> int:
    return max(2, min(8, os.cpu_count() or 2))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises: CommandError: the address is in use, or does not belong to this host."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        raise CommandError(
            f"Cannot listen on {host} port {port}: {exc.strerror}. Choose another address with --host and --port."
        ) from exc
    listener.set_inheritable(True)
    return listener


def engine_runs(run_dir: Path) -> bool:
    """Return whether an engine runs in this run directory, which must exist or be creatable."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(run_dir / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # Closing it also releases the lock.
    return False


def require_no_engine(run_dir: Path, *, patience_s: float = 5.0) -> None:
    """Wait until no engine runs. An engine whose parent was killed takes seconds to end.

    Raises: CommandError: one is still running.
    """
    deadline_s = time.monotonic() + patience_s
    while engine_runs(run_dir):
        if time.monotonic() > deadline_s:
            raise CommandError(
                f"Ninjacam already runs in {run_dir.parent}. Stop it first, or choose another --data."
            )
        time.sleep(0.1)


def prepare_engine() -> Callable[[], None]:
    """Import the engine. Return the function that a fork runs."""
    from ninjacam.management.commands import ninjacam_engine  # noqa: F401 (a fork shares it)

    connections.close_all()  # A fork must not use the connections of its parent.
    return _run_engine


def _run_engine() -> None:
    try:
        call_command("ninjacam_engine")
    except CommandError as error:
        sys.exit(f"ninjacam: {error}")


def prepare_web(listener: socket.socket) -> Callable[[], None]:
    """Import the project's ASGI application. Return the function that a fork runs: a worker on that socket."""
    from ninjacam.processes import web_worker  # uvicorn is installed only for this command.

    config = web_worker.load_config()
    connections.close_all()
    return functools.partial(web_worker.run, config, listener)


def setup_path() -> str:
    """Return the path of a new setup link, without the prefix; empty if there is an administrator, or in a project
    that does not have the page."""
    if settings.ROOT_URLCONF != PRODUCT_URLS:  # Not imported here: the supervisor stays small.
        return ""
    token = make_setup_token()
    connections.close_all()  # A fork must not use the connections of its parent.
    return f"/setup/{token}/" if token else ""


class Command(OwnCommand):
    help = "Run Ninjacam, the engine and the web workers, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: all addresses"
        )
        parser.add_argument(
            "--port", type=port_number, default=8000, help="default: %(default)s; 0: a free port"
        )
        parser.add_argument(
            "--rtmp-port",
            type=port_number,
            help="port on which devices publish over RTMP, usually 1935; 0: closed",
        )
        parser.add_argument(
            "--rtsp-port",
            type=port_number,
            help="port on which devices publish over RTSP, usually 8554; 0: closed",
        )
        parser.add_argument(
            "--tls",
            action="store_true",
            help="use https, with TLS_CERTIFICATE, or with a self-signed certificate that is made at the first start",
        )
        parser.add_argument("--workers", type=int, default=default_workers(), help="number of ASGI workers")

    def handle(self, *args: Any, **options: Any) -> None:
        self.use_options(options)
        self.serve(options["host"], options["port"], options["workers"], [])

    def use_options(self, options: dict[str, Any]) -> None:
        """Pass the options that are settings to this process and its children."""
        for key in ("RTMP_PORT", "RTSP_PORT"):
            if (port := options[key.lower()]) is not None:
                os.environ[f"NINJACAM_{key}"] = str(port)
        if options["tls"]:
            os.environ["NINJACAM_TLS"] = "1"
        get_settings.cache_clear()

    def serve(self, host: str, port: int, workers: int, more: list[SupervisedProcess]) -> None:
        """Run the server. Blocks. `more`: additional processes, started first."""
        if not 1 <= workers <= 64:
            raise CommandError("--workers must be from 1 to 64.")
        try:
            config = get_settings()
            config.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            fingerprint = prepare_certificate(config) if config.tls else ""
        except NinjacamError as exc:
            raise CommandError(str(exc)) from exc
        require_no_engine(config.run_dir)
        with contextlib.closing(listen(host, port)) as listener:
            descriptor = listener.fileno()
            engine = SupervisedProcess(
                "engine", python_command("django", "ninjacam_engine"), prepare=prepare_engine
            )
            web = [
                SupervisedProcess(
                    f"web-{number}",
                    python_command("ninjacam.processes.web_worker", "--fd", str(descriptor)),
                    fds=(descriptor,),
                    prepare=functools.partial(prepare_web, listener),
                )
                for number in range(1, workers + 1)
            ]
            prefix = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
            shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::1", "::") else host  # noqa: S104
            scheme = "https" if config.tls else "http"
            origin = f"{scheme}://{shown}:{listener.getsockname()[1]}"
            self.stdout.write(f"Ninjacam is running at {origin}{prefix}/ (Ctrl-C stops it)")
            if path := setup_path():
                self.stdout.write(f"Create the administrator, within an hour, at {origin}{prefix}{path}")
            if fingerprint:
                self.stdout.write(f"SHA-256 fingerprint of the certificate: {fingerprint}")
            self.stdout.flush()
            ProcessSupervisor([*more, engine, *web], record=config.run_dir / "serve.json").run()
