"""MJPEG over HTTP (`http://phone:8080/video`), with our HTTP/1.1 client.

If the response is a single JPEG image, the URL is polled (`http_snapshots`). FFmpeg reads other kinds of video.
"""

import asyncio

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    NotACameraError,
    NoVideoError,
    SourceEndedError,
    SourceTimeoutError,
)
from ninjacam.core.packets import Codec, Kind, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.http_client import HttpBody, get
from ninjacam.sources.http_snapshots import SnapshotPolling, interval_of
from ninjacam.sources.jpeg_images import JpegImages
from ninjacam.sources.multipart import JpegParser, boundary_of
from ninjacam.sources.urls import parse_url

_VIDEO_TYPES = ("video/", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl",
                "application/octet-stream", "application/dash+xml", "application/mp4")  # fmt: skip
PLAYLIST = b"#EXTM3U"
MAX_PREAMBLE_BYTES = 4_096
"""Maximum number of bytes inspected to detect MJPEG without a usable Content-Type."""


async def open_http(config: SourceConfig, *, clock: Clock) -> Source:
    """Request the URL, within `config.open_timeout_s`, and inspect the response. Raises: SourceError."""
    target = parse_url(config.url)
    interval_of(config.url)
    started_ns = clock.monotonic_ns()
    body: HttpBody | None = None
    try:
        async with asyncio.timeout(config.open_timeout_s):
            body = await get(config.url, config)
            if await _is_mjpeg(body):
                return HttpMjpegSource(body, clock)
    except TimeoutError as exc:
        _close(body)
        raise SourceTimeoutError(
            sentence(
                "%(host)s:%(port)s did not respond within %(open_timeout_s)s s: check the address, the "
                "port and that the camera is on.",
                host=target.host,
                port=target.port,
                open_timeout_s=f"{config.open_timeout_s:g}",
            )
        ) from exc
    except BaseException:
        _close(body)
        raise
    from ninjacam.sources.ffmpeg_network import open_answer  # FFmpeg is imported only here.

    left_s = config.open_timeout_s - (clock.monotonic_ns() - started_ns) / 1e9
    return await open_answer(body, clock=clock, timeout_s=max(0.5, left_s))


def _close(body: HttpBody | None) -> None:
    if body is not None:
        body.close()


async def _is_mjpeg(body: HttpBody) -> bool:
    """Return whether the response is a series of JPEG images; False: another kind of video.

    A multipart Content-Type is trusted. Otherwise the first bytes decide, because cameras omit the type or send a
    wrong one. Raises: SourceError: the response is not video.
    """
    kind = body.content_type
    if kind.startswith("multipart/"):
        return True
    if kind.startswith("image/") and body.is_finite:
        if not kind.startswith("image/jp"):
            raise _other_image_error()
        return True
    if "mpegurl" in kind:
        return False
    start = await body.peek(_is_decided, MAX_PREAMBLE_BYTES)
    if start.startswith(PLAYLIST):
        return False
    if _looks_like_mjpeg(start) or kind.startswith("image/jp"):
        return True
    if kind.startswith(_VIDEO_TYPES) or (not kind and start and not _is_text(start)):
        return False
    if kind.startswith("image/"):
        raise _other_image_error()
    raise NotACameraError(
        "This URL returns a web page, not a video stream: use the camera's video URL (often /video)."
    )


def _is_decided(start: bytes) -> bool:
    if start.lstrip().startswith((b"<", PLAYLIST)):
        return True
    return bool(start) and (_looks_like_mjpeg(start) or not _is_text(start))


def _looks_like_mjpeg(start: bytes) -> bool:
    """Return whether the data is text, or the headers of a part, followed by a JPEG."""
    text, image, _ = start.partition(b"\xff\xd8\xff")
    return _is_text(text) and (bool(image) or b"content-type: image/jp" in text.lower())


def _is_text(start: bytes) -> bool:
    """Return whether the data is text in any encoding. Media formats start with control bytes."""
    return not any(byte < 9 or 13 < byte < 32 for byte in start)


def _other_image_error() -> NoVideoError:
    return NoVideoError("This URL returns an image that is not JPEG: use the camera's JPEG or video URL.")


class HttpMjpegSource(Source):
    """Presentation times are arrival times, because the camera sends none.

    `capture.liveness.Pace` decides how long such a camera may be silent; `read_timeout_s` is only the upper limit.
    """

    def __init__(self, body: HttpBody, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = (Track(Kind.VIDEO, Codec.MJPEG),)
        self.stats = SourceStats()
        self._body = body
        self._clock = clock
        self._closed = False
        self._polling: asyncio.Task[None] | None = None
        self._parser = JpegParser(boundary_of(body.message.header("content-type")))
        self._media_ns = 0
        self._images = 0

    async def run(self, on_packet: OnPacket) -> None:
        images = JpegImages(on_packet, self.stats)
        while data := await self._body.read():
            if self._closed:
                break
            self._note(len(data))
            for image in self._parser.feed(data):
                self._images += 1
                self._deliver(images, image)
        if not self._closed and self._is_single_image:
            await self._poll(images)
        if self._closed:
            raise SourceEndedError("The camera was closed.")
        raise SourceEndedError("The camera closed the connection.")

    @property
    def _is_single_image(self) -> bool:
        kind = self._body.content_type
        return not kind.startswith("multipart/") and (
            self._images == 1 or (self._images == 0 and kind.startswith("image/"))
        )

    async def _poll(self, images: JpegImages) -> None:
        """Poll until closed. Raises: SourceError."""
        self._body.close()

        def take(image: bytes, size_bytes: int) -> None:
            self._note(size_bytes)
            self._deliver(images, image)

        polling = SnapshotPolling(self._body.target, self._body.config, self._clock)
        self._polling = asyncio.create_task(
            polling.run(take, has_image=self._images == 1), name="http-snapshots"
        )
        try:
            await asyncio.wait((self._polling,))
        finally:
            self._polling.cancel()
        if not self._closed:
            self._polling.result()

    def _note(self, size_bytes: int) -> None:
        self._media_ns = self._clock.monotonic_ns()
        self.stats.bytes_received += size_bytes

    def _deliver(self, images: JpegImages, image: bytes) -> None:
        images.push_unit(image, self._media_ns * 9 // 100_000, self._media_ns)

    def media_ns(self) -> int:
        return self._media_ns

    async def close(self) -> None:
        self._closed = True
        self._body.close()
        if self._polling is not None:
            self._polling.cancel()
