"""A publisher that sends FLV tags over any transport. It becomes the source of the camera whose place it has
claimed.

Not here: the transports (`sources.rtmp.publisher`, `sources.browser.publisher`).
"""

import asyncio
from typing import cast

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProtocolError, SourceEndedError, SourceError
from ninjacam.core.lifecycle import retrieve
from ninjacam.core.packets import Kind, Packet, Track
from ninjacam.sources.base import OnPacket, Source, SourceStats
from ninjacam.sources.publish import Places, PublishPlace
from ninjacam.sources.rtmp.media import FlvMedia

_FRAMES_WITHOUT_AUDIO = 10
"""Number of frames without announced audio after which the source opens without it."""


class FlvPublisher(Source):
    """Owner: the port until it publishes, then the camera. `ended` receives the SourceError that ends it.

    A subclass is an asyncio protocol, sets `_place`, and calls `_take_video` and `_take_audio`.
    """

    def __init__(self, places: Places, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.stats = SourceStats()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(retrieve)
        self._places = places
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._claiming: asyncio.Task[None] | None = None
        self._place: PublishPlace | None = None
        self._media = FlvMedia(self._deliver, self.stats)
        self._media_ns = 0
        self._expects_audio = False
        self._early: list[Packet] = []
        self._on_packet: OnPacket | None = None

    @property
    def is_publishing(self) -> bool:
        """Return whether it has sent its first frame, so that the port's deadline no longer applies."""
        return bool(self.tracks)

    # The connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(SourceEndedError("The publisher closed the connection."))

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Media --------------------------------------------------------------------------------------------------------

    def _take_video(self, tag: bytes, timestamp_ms: int) -> None:
        """Raises: ProtocolError; UnsupportedCodecError."""
        self._media_ns = self._clock.monotonic_ns()
        self._media.take_video(tag, timestamp_ms, self._media_ns)
        self._follow_codec()

    def _take_audio(self, tag: bytes, timestamp_ms: int) -> None:
        self._media_ns = self._clock.monotonic_ns()
        self._media.take_audio(tag, timestamp_ms, self._media_ns)

    def _deliver(self, packet: Packet) -> None:
        if packet.kind is Kind.AUDIO and self._ignores_audio:
            return
        if self._on_packet is not None:
            self._on_packet(packet)
            return
        if packet.kind is Kind.AUDIO and not self._early:
            return  # Audio before the first frame is useless, and could be endless.
        self._early.append(packet)
        if not self.tracks and self._is_described():
            audio = None if self._ignores_audio else self._media.audio
            self.tracks = tuple(track for track in (self._media.video, audio) if track)
            self._pause()
            if self._place is not None:
                self._place.deliver(self)

    @property
    def _ignores_audio(self) -> bool:
        is_late = bool(self.tracks) and len(self.tracks) < 2
        return is_late or (self._place is not None and not self._place.config.audio)

    def _is_described(self) -> bool:
        frames = sum(packet.kind is Kind.VIDEO for packet in self._early)
        waits_for_audio = self._expects_audio and self._media.audio is None
        return frames > (_FRAMES_WITHOUT_AUDIO if waits_for_audio else 0)

    def _follow_codec(self) -> None:
        video = self._media.video
        if self.tracks and video is not None and video.codec is not self.tracks[0].codec:
            self.tracks = (video, *self.tracks[1:])

    # The source ---------------------------------------------------------------------------------------------------

    async def run(self, on_packet: OnPacket) -> None:
        self._on_packet = on_packet
        early, self._early = self._early, []
        for packet in early:
            on_packet(packet)
        self._resume()
        await asyncio.shield(self.ended)

    def media_ns(self) -> int:
        return self._media_ns

    async def close(self) -> None:
        self._on_packet = _ignore
        self.end(SourceEndedError("The camera was closed."))
        if self._place is not None:
            self._place.close()

    def end(self, error: SourceError) -> None:
        """End the connection with `error`; the first error counts. Idempotent.

        The camera waits for the next publisher even after a permanent error: the next one may be another device.
        """
        if self.ended.done():
            return
        if self.is_publishing and not error.retryable:
            error = ProtocolError(error.message)
        self.ended.set_exception(error)
        if self._claiming is not None:
            self._claiming.cancel()
        if self._place is not None:
            self._place.leave()
        self._disconnect(error)

    def _disconnect(self, error: SourceError) -> None:
        if self._transport is not None:
            self._transport.abort()


def _ignore(packet: Packet) -> None:
    """Ignore packets after the camera has closed this source."""
