"""Uvicorn's HTTP protocol with limits on httptools' buffers: heads, and trailers after a chunked body.

Imported only if uvicorn runs with httptools. `connections` enforces deadlines, for all servers alike.
"""

import logging
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ninjacam.front_door.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES
from ninjacam.front_door.log_limits import log_rarely

logger = logging.getLogger("ninjacam.front_door")

MAX_PIPELINED = 2
"""Maximum number of pipelined requests that wait on one connection. Browsers and proxies send none, and each costs the
event loop time before it can be refused.
"""

_SILENT = logging.Logger("silent", logging.CRITICAL + 1)
_PHRASES = {414: b"URI Too Long", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large"}


class _RefusedError(Exception):
    """Stops the parser; uvicorn then calls `send_400_response`."""


class LimitedHttpToolsProtocol(HttpToolsProtocol):
    _progress = False
    """Whether the parsed data completed a head or a message, or contained part of a body."""
    _collected_bytes = 0
    """Bytes received since the last progress: the parser buffers no more than that."""
    _kept_bytes = 0
    """Size of the headers in `self.headers`."""
    _refused = 0

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._progress = False
        super().data_received(data)
        if self._progress:
            self._collected_bytes = 0
            return
        self._collected_bytes += len(data)
        if self._collected_bytes > MAX_HEAD_BYTES and not self._refused:
            self._note_refusal(431)
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._kept_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._kept_bytes += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._kept_bytes > MAX_HEAD_BYTES:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(429)
        self._progress = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress = True
        super().on_message_complete()

    def _refuse(self, status: int) -> None:
        self._note_refusal(status)
        raise _RefusedError

    def _note_refusal(self, status: int) -> None:
        self._refused = status
        log_rarely(logger, f"head-refused-{status}", "Refused a request head: %s", _PHRASES[status].decode())
        self.logger = _SILENT  # Uvicorn would log that the request is invalid, each time.

    def send_400_response(self, msg: str) -> None:
        """Send an error response, also for 414, 429 and 431. If a response is in progress, only close the
        connection."""
        self._refused = self._refused or 400
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.pipeline:
            self.transport.close()
        elif self._refused == 400:
            super().send_400_response(msg)
        else:
            head = b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head % (self._refused, _PHRASES[self._refused]))
            self.transport.close()


def announcing(on_connection: Callable[[], None]) -> type[LimitedHttpToolsProtocol]:
    """Return the protocol that calls `on_connection` for each connection that the server accepts.

    It calls it in its constructor, because `connection_made` is called only after the TLS handshake.
    """

    class AnnouncingProtocol(LimitedHttpToolsProtocol):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            on_connection()

    return AnnouncingProtocol
