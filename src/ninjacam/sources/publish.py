"""Cameras that publish to us: each camera waits here for a publisher with one of its keys.

The ports (`sources.publisher_port`) claim a place for each publisher; `open_push` returns the publisher as the
camera's source. Not here: the protocols (`sources.rtmp`, `sources.rtsp.publisher`).
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    ConfigError,
    SourceBusyError,
    SourceEndedError,
    SourceError,
)
from ninjacam.sources.base import Source, SourceConfig

CLAIM_S = 5.0
"""Seconds that a publisher waits for its camera, which may be restarting, or for the end of a silent predecessor. A
publisher with an invalid key waits equally long."""
SILENT_S = 2.0
"""Seconds without media after which a publisher loses its place to another one with the same key. A phone that has
switched networks reconnects before its old connection has timed out."""
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class PublishPorts:
    """The ports for publishers. `host`: "": all addresses. A port 0 is closed. `certificate`, `key`: paths of PEM
    files; "": without TLS."""

    host: str = ""
    rtmp_port: int = 0
    rtsp_port: int = 0
    certificate: str = ""
    key: str = ""

    @property
    def is_open(self) -> bool:
        return bool(self.rtmp_port or self.rtsp_port)


class Publisher(Protocol):
    """A connection that requests to publish. Owner: its port."""

    def media_ns(self) -> int:
        """Return the monotonic time of the last media; 0: none yet."""

    def end(self, error: SourceError) -> None:
        """Close the connection. Idempotent."""


class PublishPlace:
    """The place of one camera. `publisher`: its current publisher; None: free. `claimed_ns`: monotonic time of its
    claim."""

    def __init__(self, config: SourceConfig, remove: "Callable[[PublishPlace], None]") -> None:
        self.config = config
        self._remove = remove
        self.publisher: Publisher | None = None
        self.claimed_ns = 0
        self.source: asyncio.Future[Source] = asyncio.get_running_loop().create_future()

    def deliver(self, source: Source) -> None:
        """Open the camera with `source`, once the publisher's tracks are known."""
        if not self.source.done():
            self.source.set_result(source)

    def leave(self) -> None:
        """Note that the publisher has ended. If it delivered nothing, the place is free for another one."""
        if not self.source.done():
            self.publisher = None

    def close(self) -> None:
        """Note that the camera has closed its source. Idempotent."""
        self._remove(self)


class Places:
    """The places of the cameras of one process."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._by_key: dict[str, PublishPlace] = {}

    def add(self, config: SourceConfig) -> PublishPlace:
        """Return a new free place, which replaces the previous one with the same keys."""
        place = PublishPlace(config, self._remove)
        self._by_key.update(dict.fromkeys(config.publish_keys, place))
        return place

    def find(self, key: str) -> PublishPlace | None:
        return self._by_key.get(hash_key(key))

    def _remove(self, place: PublishPlace) -> None:
        for key in place.config.publish_keys:
            if self._by_key.get(key) is place:
                del self._by_key[key]

    async def claim(self, key: str, publisher: Publisher) -> PublishPlace:
        """Assign the place of the camera with this key to `publisher`, and return it.

        Raises: AuthenticationError: no camera here has this key; SourceBusyError: another publisher is sending.
        """
        return await self.claim_hash(hash_key(key), publisher)

    async def claim_hash(self, key_hash: str, publisher: Publisher) -> PublishPlace:
        """Do the same as `claim`, with the hash that `hash_key` returns."""
        deadline_ns = self._clock.monotonic_ns() + int(CLAIM_S * 1e9)
        while True:
            now_ns = self._clock.monotonic_ns()
            place = self._by_key.get(key_hash)
            if place is not None and place.publisher is None:
                place.publisher, place.claimed_ns = publisher, now_ns
                return place
            if place is not None and place.publisher is not None:
                last_ns = max(place.publisher.media_ns(), place.claimed_ns)
                if now_ns - last_ns > SILENT_S * 1e9:
                    place.publisher.end(SourceEndedError("Another publisher has taken over."))
            if now_ns >= deadline_ns:
                break
            await self._clock.sleep(_LOOK_S)
        if place is None:
            raise AuthenticationError("The key is unknown or revoked, or its camera is disabled.")
        raise SourceBusyError(
            "Another publisher is sending with this key. Stop it first, or use a key of your own."
        )


PLACES = Places()
"""The places of this process."""


def hash_key(key: str) -> str:
    """Return the stored form of a key: its SHA-256 in hexadecimal. Keys are random, so they need no salt."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


async def open_push(config: SourceConfig, *, clock: Clock) -> Source:
    """Wait for a publisher, without a deadline. Raises: ConfigError: the camera has no key."""
    if not config.publish_keys:
        raise ConfigError("This camera waits for a publisher, but has no key. Create one.")
    place = PLACES.add(config)
    try:
        return await place.source
    finally:
        if place.source.cancelled() or not place.source.done():
            place.close()
            if place.publisher is not None:
                place.publisher.end(SourceEndedError("The camera was closed."))
