"""The ports of a capture process on which cameras publish. Thread: the event loop."""

import asyncio
import logging

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError
from ninjacam.core.server_certificate import ServerCertificate
from ninjacam.sources.publish import PLACES, PublishPorts
from ninjacam.sources.publisher_port import Connection, PublisherPort
from ninjacam.sources.rtmp.publisher import RtmpPublisher
from ninjacam.sources.rtsp.publisher import RtspPublisher

logger = logging.getLogger("ninjacam.capture")

RETRY_S = 2.0
"""Seconds between attempts to open a port: the process that was killed before this one may still hold it."""


class Publishing:
    """Opens and closes the ports. Errors do not end it: a port that is in use is tried again."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._ports = PublishPorts()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, ports: PublishPorts) -> None:
        """Have these ports open from now on."""
        if ports == self._ports:
            return
        await self.close()
        self._ports = ports
        certificate = ServerCertificate(ports.certificate, ports.key)
        if ports.rtmp_port:
            self._begin(
                PublisherPort("RTMP", ports.host, ports.rtmp_port, self._make_rtmp, certificate.context)
            )
        if ports.rtsp_port:
            self._begin(
                PublisherPort("RTSP", ports.host, ports.rtsp_port, self._make_rtsp, certificate.context)
            )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._ports = PublishPorts()

    def _begin(self, port: PublisherPort) -> None:
        self._tasks.append(asyncio.create_task(self._listen(port), name="publishing"))

    async def _listen(self, port: PublisherPort) -> None:
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
