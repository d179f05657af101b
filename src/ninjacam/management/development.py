"""What `runserver` needs besides Django's: an ASGI server, its request log, and the engine as a child.

Only for development: one process, no restart of the server, access log on the terminal. In production, use
`ninjacam_serve`, or your own ASGI server and `ninjacam_engine`.
"""

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, Self

from django.core.management.base import OutputWrapper
from django.core.servers.basehttp import WSGIRequestHandler

from ninjacam.core.interpreter import full_environment, python_command
from ninjacam.core.lifecycle import Backoff
from ninjacam.core.limits import die_with_parent
from ninjacam.management.commands.ninjacam_serve import BACKLOG, engine_runs

BACKOFF = Backoff(first_s=1.0, max_s=10.0)
GOOD_LIFE_S = 10.0
LOOK_EVERY_S = 0.5
STOP_DEADLINE_S = 8.0
_SIGNATURE = re.compile(r"(?<=[?&]sig=)[^&]*")


class DevelopmentEngine:
    """Keeps the engine running until the end of the `with` block, in a thread. An engine that already runs, for example
    in another terminal, is used.
    """

    def __init__(self, run_dir: Path, output: OutputWrapper) -> None:
        self._run_dir = run_dir
        self._output = output
        self._stop = threading.Event()
        # PR_SET_PDEATHSIG refers to the thread that forks, so this thread lives as long as the engine.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        is_announced = False
        while not self._stop.is_set():
            if engine_runs(self._run_dir):
                if not is_announced:
                    self._output.write("The engine of this project already runs.")
                is_announced = True
                self._stop.wait(LOOK_EVERY_S)
                continue
            started_s = time.monotonic()
            status = self._run_once()
            if self._stop.is_set():
                return
            failures = 0 if time.monotonic() - started_s > GOOD_LIFE_S else failures + 1
            self._output.write(f"The engine ended ({status}) and is started again.")
            self._stop.wait(BACKOFF.delay_s(failures))

    def _run_once(self) -> int:
        """Run the engine until it ends or must stop. Return its exit status."""
        process = subprocess.Popen(
            python_command("django", "ninjacam_engine"),
            stdin=subprocess.DEVNULL,
            env=full_environment(),
            start_new_session=True,  # Ctrl-C must reach only this process, which stops the engine.
            # Python reinitializes its locks in the fork, and the main thread waits for a child.
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        while process.poll() is None:
            if self._stop.wait(LOOK_EVERY_S):
                process.terminate()
                try:
                    return process.wait(STOP_DEADLINE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    return process.wait()
        return process.returncode


class AsgiServer:
    """An ASGI server with the interface of the server class of `runserver`. Raises: OSError: the address is in use, or
    does not belong to this host.
    """

    def __init__(
        self, address: tuple[str, int], _handler: type[WSGIRequestHandler], *, ipv6: bool = False
    ) -> None:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._listener = socket.create_server(address, family=family, backlog=BACKLOG)
        self.server_port: int = self._listener.getsockname()[1]
        self._application: Any = None

    def set_app(self, application: Any) -> None:
        self._application = application

    def serve_forever(self) -> None:
        """Serve until SIGINT or SIGTERM in the main thread; in another thread, until the process ends."""
        from ninjacam.processes.web_worker import Server, make_config

        config = make_config(self._application, access_log=True)
        config.load()
        log = logging.getLogger("uvicorn.access")
        log.handlers, log.propagate = [RequestLog()], False
        log.setLevel(logging.INFO)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(Server(config).serve(sockets=[self._listener]))


class RequestLog(logging.Handler):
    """Writes uvicorn's access log to Django's logger of `runserver`. Signatures of links are left out."""

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger("django.server")

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.args, tuple)
        _client, method, path, version, status = record.args
        assert isinstance(status, int)
        level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
        shown = _SIGNATURE.sub("…", str(path))
        line = f"{method} {shown} HTTP/{version}"
        self._logger.log(level, '"%s" %s', line, status, extra={"status_code": status})


def end_on_sigterm() -> None:
    """Raise SystemExit at SIGTERM, as Django's reloader does, so that the engine is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
