"""MJPEG over HTTP (`http://phone:8080/video`), with a small HTTP/1.1 client of our own.

What turns out to be another kind of video is handed to FFmpeg.
"""

import asyncio
from dataclasses import replace

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    NotACameraError,
    NoVideoError,
    SourceEndedError,
    SourceError,
    SourceTimeoutError,
)
from ninjacam.core.packets import Codec, Kind, Track
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.http_client import HttpBody, get
from ninjacam.sources.multipart import MultipartParser, boundary_of
from ninjacam.sources.pictures import JpegPictures
from ninjacam.sources.urls import parse_url

_VIDEO_TYPES = ("video/", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl",
                "application/octet-stream", "application/dash+xml", "application/mp4")  # fmt: skip


async def open_http(config: SourceConfig, *, clock: Clock) -> Source:
    """Ask for the URL, within `config.open_timeout_s`, and see what comes. Raises: SourceError."""
    target = parse_url(config.url)
    started_ns = clock.monotonic_ns()
    try:
        async with asyncio.timeout(config.open_timeout_s):
            body = await get(config.url, config)
    except TimeoutError as exc:
        raise SourceTimeoutError(
            f"{target.host}:{target.port} did not answer within {config.open_timeout_s:g} s: "
            "check the address, the port and that the camera is on."
        ) from exc
    try:
        if body.content_type.startswith("multipart/"):
            return HttpMjpegSource(body, clock)
        _check(body.content_type)
    except SourceError:
        body.close()
        raise
    body.close()
    from ninjacam.sources.ffmpeg_network import open_network  # only here does FFmpeg come in

    left_s = config.open_timeout_s - (clock.monotonic_ns() - started_ns) / 1e9
    found = replace(body.config, url=body.target.uri, open_timeout_s=max(0.5, left_s))
    return await open_network(found, clock=clock)


def _check(content_type: str) -> None:
    """Raises: SourceError: the answer is no video."""
    if content_type.startswith(_VIDEO_TYPES):
        return
    if content_type.startswith("image/"):
        raise NoVideoError(
            "This URL gives one picture, not a stream: use the camera's video URL (often /video)."
        )
    raise NotACameraError(
        "A web page answers there, not a video stream: use the camera's video URL (often /video)."
    )


class HttpMjpegSource(Source):
    """Presentation times are times of arrival: the camera tells none."""

    def __init__(self, body: HttpBody, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = (Track(Kind.VIDEO, Codec.MJPEG),)
        self.stats = SourceStats()
        self._body = body
        self._clock = clock
        self._closed = False
        self._parser = MultipartParser(boundary_of(body.message.header("content-type")))

    async def run(self, on_packet: OnPacket) -> None:
        pictures = JpegPictures(on_packet, self.stats)
        while data := await self._body.read():
            if self._closed:
                break
            received_ns = self._clock.monotonic_ns()
            self.stats.bytes_received += len(data)
            for part in self._parser.feed(data):
                pictures.push_unit(part, received_ns * 9 // 100_000, received_ns)
        raise SourceEndedError(
            "The camera was closed." if self._closed else "The camera closed the connection."
        )

    async def close(self) -> None:
        self._closed = True
        self._body.close()
