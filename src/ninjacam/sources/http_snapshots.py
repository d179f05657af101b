"""Polls the URL of a camera that returns one JPEG image per request (ESP32-CAM `/capture`, `snapshot.jpg`).

`http_mjpeg` detects such URLs by their first response. The fragment of the URL, which no request contains, sets the
interval: `http://192.168.1.30/capture#interval=0.5`.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qs

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, ProtocolError
from ninjacam.core.texts import sentence
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_client import check_status
from ninjacam.sources.http_session import HttpResponse, HttpSession
from ninjacam.sources.multipart import MAX_IMAGE_BYTES, JpegParser
from ninjacam.sources.urls import RequestTarget

DEFAULT_INTERVAL_S = 1.0
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 10.0
"""The camera is reported as lost after three intervals, and `capture.liveness` waits 30 s at most."""
MAX_REQUEST_S = 10.0
"""Timeout of one request. The next one is never sent before it has ended."""
MAX_FAILURES = 3
"""Number of consecutive responses without an image after which the connection ends."""
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')


def interval_of(url: str) -> float:
    """Return the seconds between two requests, from the fragment of `url`. Raises: ConfigError."""
    values = parse_qs(url.partition("#")[2], keep_blank_values=True).get("interval")
    if not values:
        return DEFAULT_INTERVAL_S
    interval_s = float(values[0]) if _NUMBER.fullmatch(values[0]) else 0.0
    if not MIN_INTERVAL_S <= interval_s <= MAX_INTERVAL_S:
        raise ConfigError(
            sentence(
                "Invalid interval. Use #interval= with %(min_interval_s)s to %(max_interval_s)s seconds.",
                min_interval_s=f"{MIN_INTERVAL_S:g}",
                max_interval_s=f"{MAX_INTERVAL_S:g}",
            )
        )
    return interval_s


class SnapshotPolling:
    """Requests `target` at the interval that `config.url` sets, one request at a time, over one connection."""

    def __init__(self, target: RequestTarget, config: SourceConfig, clock: Clock) -> None:
        self._url = target.uri
        self._interval_s = interval_of(config.url)
        self._has_login = bool(config.username or config.password)
        self._clock = clock
        timeout_s = min(MAX_REQUEST_S, config.read_timeout_s)
        self._session = HttpSession(
            config, timeout_s=timeout_s, max_body_bytes=MAX_IMAGE_BYTES, digest_only=False
        )
        self._image = self._entity_tag = b""

    async def run(self, on_image: Callable[[bytes, int], None], *, has_image: bool) -> None:
        """Wait, request an image and call `on_image(image, size of the response)`, repeatedly until an error occurs.

        The image is b"" if the response contained no complete image. An unchanged image is passed again, because it
        is the camera's current one. `has_image`: whether the response before the first request contained an image.
        Raises: SourceError: always, when polling ends.
        """
        failures = 0 if has_image else 1
        due_ns = self._clock.monotonic_ns()
        try:
            while True:
                due_ns = max(due_ns + int(self._interval_s * 1e9), self._clock.monotonic_ns())
                await self._clock.sleep((due_ns - self._clock.monotonic_ns()) / 1e9)
                image, size_bytes = await self._fetch()
                on_image(image, size_bytes)
                failures = 0 if image else failures + 1
                if failures >= MAX_FAILURES:
                    raise ProtocolError(
                        "The camera no longer returns JPEG images. Open its URL in a browser, and restart the camera."
                    )
        finally:
            self._session.close()

    async def _fetch(self) -> tuple[bytes, int]:
        """Return (image, size of the response). Raises: SourceError."""
        headers = [f"If-None-Match: {self._entity_tag.decode()}"] if self._entity_tag else []
        response = await self._session.request("GET", self._url, headers=headers)
        if response.status == 304:
            return self._image, 0
        if response.status in (401, 403, 404, 410):
            check_status(response.status, has_login=self._has_login)
        image = _image_in(response)
        found = _ENTITY_TAG.fullmatch(response.header("etag"))
        self._image, self._entity_tag = image, found[0].encode() if image and found else b""
        return image, len(response.body)


def _image_in(response: HttpResponse) -> bytes:
    """Return the first complete image; b"" if there is none."""
    if response.status != 200:
        return b""
    return next(filter(None, JpegParser().feed(response.body)), b"")
