"""HTTP for FFmpeg's demuxers, which request files from our HTTP client.

The targets of playlists and redirects are checked like the camera itself: allowed addresses only, no files, and the
password only for the camera's host. FFmpeg's HTTP client would follow any URL.
"""

import asyncio
import re
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any, TypeVar

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    ProtocolError,
    SourceEndedError,
    SourceTimeoutError,
    StreamNotFoundError,
    UnsupportedCodecError,
)
from ninjacam.core.texts import sentence
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_client import HttpBody, get
from ninjacam.sources.transport_stream import PartReader
from ninjacam.sources.urls import RequestTarget, carries_login, parse_url

_T = TypeVar("_T")
_GRACE_S = 1.0
"""Added to the deadlines inside the event loop, in case it is busy."""


MAX_REQUESTS, MAX_REQUESTS_WITHIN_S = 60, 10.0
"""A live playlist with one-second segments takes about 20 requests in 10 s."""
MAX_PLAYLIST_BYTES = 1 << 20
MAX_PLAYLIST_STREAMS = 32
"""Variants and renditions: FFmpeg opens each of them."""
MAX_PLAYLIST_PARTS = 10_000
_PLAYLIST = b"#EXTM3U"
"""The only content that FFmpeg accepts as a playlist."""
_STREAM = re.compile(rb"(?m)^#EXT-X-(?:STREAM-INF|MEDIA|I-FRAME-STREAM-INF):")
_PART = re.compile(rb"(?m)^(?:#EXTINF:|#EXT-X-(?:MAP|KEY|SESSION-KEY):|[^#\s])")
"""Matches the records that FFmpeg's reader keeps, which are limited; a segment counts twice."""


def is_playlist(target: RequestTarget) -> bool:
    return target.path.partition("?")[0].endswith(".m3u8")


class HttpFiles:
    """The open files of one camera's demuxer. Thread: the demuxer's, except for `close`.

    `first`: the camera's response, for the first file.
    """

    def __init__(
        self, first: HttpBody, config: SourceConfig, loop: asyncio.AbstractEventLoop, clock: Clock
    ) -> None:
        self._first: HttpBody | None = first
        self._config = config
        self._loop = loop
        self._clock = clock
        self._target = first.target
        self._bodies = {first}
        self._asked_ns: deque[int] = deque(maxlen=MAX_REQUESTS)
        self._closed = False

    def open(self, url: str, _flags: int, options: dict[str, str]) -> "_HttpFile":
        """PyAV's `io_open`. Raises: SourceError, which PyAV raises again from its own call."""
        body, self._first = self._first, None
        return self._file(body if body is not None else self._get(url, options))

    def _get(self, url: str, options: dict[str, str]) -> HttpBody | None:
        """Return the response; None: a segment that arrived too late and is skipped."""
        if url.startswith("crypto"):
            raise UnsupportedCodecError("The playlist is encrypted: switch encryption off.")
        if not url.startswith(("http:", "https:")):
            raise ProtocolError("The camera's playlist refers to a URL that is not http: or https:.")
        self._count_request()
        target = parse_url(url)
        if self._target.is_tls and not target.is_tls:
            raise ProtocolError("The camera's playlist refers from https: to http:, which is not allowed.")
        config = self._config
        if not carries_login(self._target, target):
            config = replace(config, username="", password="")
        first, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        headers = [f"Range: bytes={first}-{end - 1}"] if end > first else []
        try:
            body = self._ask(_get(url, config, headers), config.open_timeout_s)
        except StreamNotFoundError:
            if is_playlist(target):
                raise
            return None
        self._bodies.add(body)
        if self._closed:
            self.close()
        if headers and body.message.status != 206:
            raise ProtocolError(
                "The camera's playlist refers to byte ranges, which its server does not support."
            )
        return body

    def _count_request(self) -> None:
        """Raises: ProtocolError: a playlist causes more requests than any player would send."""
        now_ns = self._clock.monotonic_ns()
        if len(self._asked_ns) == MAX_REQUESTS and now_ns - self._asked_ns[0] < MAX_REQUESTS_WITHIN_S * 1e9:
            raise ProtocolError("The camera's playlist names more files than can be fetched in time.")
        self._asked_ns.append(now_ns)

    def _file(self, body: HttpBody | None) -> "_HttpFile":
        if body is None:
            return _HttpFile(self, None)
        config = self._config
        start = self._ask(_peek(body, config, len(_PLAYLIST)), config.read_timeout_s)
        if start[: len(_PLAYLIST)] == _PLAYLIST:
            check_playlist(self._ask(_peek(body, config, MAX_PLAYLIST_BYTES + 1), config.read_timeout_s))
        return _HttpFile(self, body)

    def read(self, body: HttpBody) -> bytes:
        return self._ask(body.read(), self._config.read_timeout_s)

    def release(self, body: HttpBody) -> None:
        self._bodies.discard(body)
        self._call_close(body)

    def close(self) -> None:
        """Interrupt all reads. Thread: any. Idempotent."""
        self._closed = True
        for body in tuple(self._bodies):
            self.release(body)

    def _call_close(self, body: HttpBody) -> None:
        try:
            self._loop.call_soon_threadsafe(body.close)
        except RuntimeError:
            return  # The event loop has ended and closed its sockets.

    def _ask(self, question: Coroutine[Any, Any, _T], limit_s: float) -> _T:
        if self._closed:  # The event loop may end before it runs the request.
            question.close()
            raise SourceEndedError("The camera was closed.")
        try:
            answer = asyncio.run_coroutine_threadsafe(question, self._loop)
        except RuntimeError as exc:
            question.close()
            raise SourceEndedError("The camera was closed.") from exc
        try:
            return answer.result(limit_s + _GRACE_S)
        except CancelledError as exc:
            raise SourceEndedError("The camera was closed.") from exc
        except TimeoutError as exc:
            answer.cancel()
            raise SourceTimeoutError(
                sentence("The camera did not respond within %(limit_s)s s.", limit_s=f"{limit_s:g}")
            ) from exc


async def _peek(body: HttpBody, config: SourceConfig, size_bytes: int) -> bytes:
    async with asyncio.timeout(config.read_timeout_s):
        return await body.peek(lambda start: len(start) >= size_bytes, size_bytes)


def check_playlist(text: bytes) -> None:
    """Raises: ProtocolError: FFmpeg would need too much memory, or too many requests, for this playlist."""
    if len(text) > MAX_PLAYLIST_BYTES:
        raise ProtocolError(
            sentence("The camera's playlist is larger than %(limit)s KiB.", limit=MAX_PLAYLIST_BYTES >> 10)
        )
    if len(_STREAM.findall(text)) > MAX_PLAYLIST_STREAMS:
        raise ProtocolError(
            sentence("The camera's playlist names more than %(limit)s streams.", limit=MAX_PLAYLIST_STREAMS)
        )
    if len(_PART.findall(text)) > 2 * MAX_PLAYLIST_PARTS:
        raise ProtocolError(
            sentence("The camera's playlist names more than %(limit)s parts.", limit=MAX_PLAYLIST_PARTS)
        )


async def _get(url: str, config: SourceConfig, headers: list[str]) -> HttpBody:
    async with asyncio.timeout(config.open_timeout_s):
        return await get(url, config, headers=headers)


class _HttpFile:
    """The file object that PyAV reads. `body` None: an empty file."""

    def __init__(self, files: HttpFiles, body: HttpBody | None) -> None:
        self._files = files
        self._body = body
        self._left = b""
        is_range = body is not None and body.message.status == 206  # FFmpeg counts the bytes of a range.
        self._read_next = self._read_body if is_range else PartReader(self._read_body).read

    def _read_body(self) -> bytes:
        return self._files.read(self._body) if self._body is not None else b""

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = self._read_next()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def close(self) -> None:
        if self._body is not None:
            self._files.release(self._body)
            self._body = None
