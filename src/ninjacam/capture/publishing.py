"""The ports of a capture process for publishing cameras, and the socket for publishing pages. Thread: the event
loop."""

import asyncio
import contextlib
import logging
from pathlib import Path

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError, SourceEndedError
from ninjacam.core.server_certificate import ServerCertificate
from ninjacam.core.texts import sentence
from ninjacam.core.unix_sockets import listen_unix
from ninjacam.sources.browser.messages import socket_path
from ninjacam.sources.browser.publisher import BrowserPublisher
from ninjacam.sources.publish import PLACES, PublishPorts
from ninjacam.sources.publisher_port import Connection, PublisherPort
from ninjacam.sources.rtmp.publisher import RtmpPublisher
from ninjacam.sources.rtsp.publisher import RtspPublisher

logger = logging.getLogger("ninjacam.capture")

RETRY_S = 2.0
"""Seconds between attempts to open a port, which a killed predecessor of this process may still hold."""


class Publishing:
    """Opens and closes the ports. After an error, such as a port in use, it retries."""

    def __init__(self, run_dir: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._run_dir = run_dir
        self._clock = clock
        self._ports: PublishPorts | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, ports: PublishPorts) -> None:
        """Open these ports, and the socket on which web workers relay pages. Close other ports."""
        if ports == self._ports:
            return
        await self.close()
        self._ports = ports
        certificate = ServerCertificate(ports.certificate, ports.key)
        for name, number, make in (
            ("RTMP", ports.rtmp_port, self._make_rtmp),
            ("RTSP", ports.rtsp_port, self._make_rtsp),
        ):
            if number:
                self._begin(PublisherPort(name, ports.host, number, make, certificate.context))
        self._begin(PageSocket(socket_path(self._run_dir), self._clock))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._ports = None

    def _begin(self, port: "PublisherPort | PageSocket") -> None:
        self._tasks.append(asyncio.create_task(self._listen(port), name="publishing"))

    async def _listen(self, port: "PublisherPort | PageSocket") -> None:
        last = ""
        try:
            while True:
                try:
                    await port.start()
                    break
                except ConfigError as error:
                    logger.log(logging.DEBUG if str(error) == last else logging.ERROR, "%s", error)
                    last = str(error)
                await self._clock.sleep(RETRY_S)
            await asyncio.get_running_loop().create_future()
        finally:
            await port.close()

    def _make_rtmp(self) -> tuple[Connection, asyncio.BaseProtocol]:
        publisher = RtmpPublisher(PLACES, self._clock)
        return publisher, publisher

    def _make_rtsp(self) -> tuple[Connection, asyncio.BaseProtocol]:
        publisher = RtspPublisher(PLACES, self._clock)
        return publisher, publisher.connection


class PageSocket:
    """The Unix socket on which web workers relay publishing pages. Its mode permits only our user."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._server: asyncio.AbstractServer | None = None
        self._opening: set[BrowserPublisher] = set()

    async def start(self) -> None:
        """Raises: ConfigError: the socket cannot be created."""
        try:
            listener = listen_unix(self._path)
        except OSError as error:
            raise ConfigError(
                sentence(
                    "The socket for publishing pages cannot be created: %(reason)s.", reason=error.strerror
                )
            ) from error
        self._server = await asyncio.get_running_loop().create_unix_server(self._make, sock=listener)

    def _make(self) -> BrowserPublisher:
        publisher = BrowserPublisher(PLACES, self._clock)
        self._opening = {each for each in self._opening if not each.is_publishing} | {publisher}
        publisher.ended.add_done_callback(lambda _: self._opening.discard(publisher))
        return publisher

    async def close(self) -> None:
        """Close the socket and the connections that do not publish yet. The cameras own the others."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        for publisher in [each for each in self._opening if not each.is_publishing]:
            publisher.end(SourceEndedError("The port was closed."))
