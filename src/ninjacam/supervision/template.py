"""The template: a process with one thread that has imported what the engine's children need, and forks them.

The engine itself cannot fork: it has threads and an event loop. It forks its template before these start, and requests
each child over a socket pair (SOCK_SEQPACKET, one JSON object per packet). The template ends with the engine; its forks
continue. User code is never imported here.
"""

import asyncio
import contextlib
import errno
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ninjacam.supervision.forking import ForkedProcess, can_fork, fork
from ninjacam.supervision.started import PidfdProcess

logger = logging.getLogger("ninjacam.supervision")

MAX_PACKET_BYTES = 128 << 10
TITLE = "ninjacam template"
END_S = 1.0
ANSWER_S = 5.0
"""Seconds to wait for a fork, which takes milliseconds. After that, children start as commands."""

Json = dict[str, Any]


class TemplateGoneError(Exception):
    """The template has ended, or does not respond."""


class Template:
    """The engine's end of the socket pair. Owner: the event loop, from the first call of `fork` on."""

    def __init__(self, process: ForkedProcess, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        connection.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: deque[asyncio.Future[PidfdProcess]] = deque()
        self._statuses: dict[int, asyncio.Future[int | None]] = {}

    @classmethod
    def start(cls) -> "Template | None":
        """Fork the template from this process, which must have one thread; return None if it has more."""
        if not can_fork():
            return None
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def main() -> None:
            ours.close()
            _TemplateLoop(its).run()

        process = fork(main, title=TITLE)
        its.close()
        return cls(process, ours)

    async def fork(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], title: str
    ) -> PidfdProcess:
        """Run `module.main(arguments)` in a fork, with the template's environment and `environment`.

        Raises: TemplateGoneError; OSError: there is no fork now, because of a lack of memory, processes or open files.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._connection, self._on_readable)
        packet = {
            "module": module, "arguments": list(arguments), "environment": dict(environment), "title": title
        }  # fmt: skip
        answer: asyncio.Future[PidfdProcess] = self._loop.create_future()
        try:
            self._ask(packet)
        except OSError as exc:
            raise TemplateGoneError from exc
        self._asked.append(answer)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError as exc:
            self._gone()
            raise TemplateGoneError("The template does not answer.") from exc

    def _ask(self, packet: Json) -> None:
        """Raises: OSError."""
        self._connection.send(json.dumps(packet).encode())

    def _on_readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connection, MAX_PACKET_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._gone()
            return
        message: Json = json.loads(data)
        if "ended" in message:
            status = self._statuses.pop(message["ended"], None)
            if status is not None and not status.done():
                status.set_result(message["status"])
            return
        self._take_answer(self._asked.popleft(), message, descriptors)

    def _take_answer(
        self, answer: "asyncio.Future[PidfdProcess]", message: Json, descriptors: Sequence[int]
    ) -> None:
        assert self._loop is not None
        if not descriptors:
            if "pid" in message:  # This process has no free descriptor for the pidfd.
                with contextlib.suppress(OSError):
                    self._ask({"kill": message["pid"]})
            number = message.get("failed", errno.EMFILE)
            if not answer.done():
                answer.set_exception(OSError(number, os.strerror(number)))
            return
        status = self._statuses[message["pid"]] = self._loop.create_future()
        process = PidfdProcess(message["pid"], descriptors[0], status)
        if answer.done():
            process.kill()
        else:
            answer.set_result(process)

    def _gone(self) -> None:
        assert self._loop is not None
        if self._connection.fileno() < 0:
            return
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._process.kill()  # It has ended, unless only the connection is broken.
        self._process.wait(END_S)
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(TemplateGoneError("The template has ended."))
        for status in self._statuses.values():
            if not status.done():
                status.set_result(None)
        self._asked.clear()
        self._statuses.clear()


class _TemplateLoop:
    """The main loop of the template, in its only thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._children: dict[int, ForkedProcess] = {}
        self._woken, self._wake = socket.socketpair()

    def run(self) -> NoReturn:
        """Run until the engine ends."""
        gc.disable()  # A garbage collection would copy the shared pages, and there is no garbage.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # It ends with the engine.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        while self._woken.recv(4096):
                            pass
                    self._reap()
                if self._connection in ready:
                    self._answer()

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            status = child.poll()
            if status is not None:
                del self._children[pid]
                self._send({"ended": pid, "status": status})

    def _answer(self) -> None:
        try:
            data = self._connection.recv(MAX_PACKET_BYTES)
        except OSError:
            data = b""
        if not data:
            os._exit(0)
        wanted: Json = json.loads(data)
        if "kill" in wanted:
            if child := self._children.get(wanted["kill"]):
                child.kill()
            return
        try:
            pid, descriptor = self._fork(wanted)
        except OSError as exc:
            self._send({"failed": exc.errno})
            return
        try:
            self._send({"pid": pid}, descriptor)
        finally:
            os.close(descriptor)

    def _fork(self, wanted: Json) -> tuple[int, int]:
        """Return the fork's pid and a pidfd of it. Raises: OSError."""
        child = fork(lambda: self._become(wanted), title=wanted["title"])
        self._children[child.pid] = child
        try:
            return child.pid, os.pidfd_open(child.pid)  # Not reaped yet, so the pid still belongs to it.
        except OSError:
            child.kill()
            raise

    def _become(self, wanted: Json) -> None:
        """Run in the fork."""
        for end in (self._connection, self._woken, self._wake):
            end.close()
        gc.enable()
        os.environ.update(wanted["environment"])
        importlib.import_module(wanted["module"]).main(wanted["arguments"])

    def _send(self, message: Json, *descriptors: int) -> None:
        try:
            socket.send_fds(self._connection, [json.dumps(message).encode()], descriptors)
        except OSError:
            os._exit(0)  # The engine has ended.
