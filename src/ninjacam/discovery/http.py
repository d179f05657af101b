"""Requests one page from a web server, and detects MJPEG. No login, no redirects.

Uses HTTP/1.0, so that bodies are not chunked.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import cast

from ninjacam.core.errors import LimitError, SourceError
from ninjacam.discovery.devices import Evidence, FoundStream
from ninjacam.discovery.dialer import Dialer
from ninjacam.discovery.makers import APPS, MJPEG_PORTS, App, maker_of_challenge
from ninjacam.discovery.text import clean, clean_bytes
from ninjacam.sources.rtsp.messages import MAX_HEAD_BYTES, USER_AGENT, checked_lines, parse_head

MAX_BODY_BYTES = 4_096
TIMEOUT_S = 2.0
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TITLE = re.compile(rb"<title[^>]{0,100}>([^<]{1,200})", re.IGNORECASE)
_REALM = re.compile(r'realm\s*=\s*"([^"]{0,200})"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WebPage:
    """The beginning of a response. Texts are sanitized."""

    status: int
    server: str
    realm: str
    title: str
    content_type: str
    body: bytes = b""

    @property
    def is_mjpeg(self) -> bool:
        return self.status == 200 and self.content_type.startswith("multipart/x-mixed-replace")


def parse_page(data: bytes) -> WebPage | None:
    """Return the page at the beginning of a response; None: not HTTP. Raises: ProtocolError, NotACameraError."""
    end = _HEAD_END.search(data[:MAX_HEAD_BYTES])
    head, body = (data[: end.start()], data[end.end() :]) if end else (data[:MAX_HEAD_BYTES], b"")
    if not head.startswith(b"HTTP/1."):
        return None
    message, _ = parse_head(head)
    title = _TITLE.search(body[:MAX_BODY_BYTES])
    realm = _REALM.search(message.header("www-authenticate")[:1000])
    return WebPage(
        message.status,
        clean(message.header("server")),
        clean(realm[1]) if realm else "",
        clean_bytes(title[1]) if title else "",
        clean(message.header("content-type")).lower(),
        body[:MAX_BODY_BYTES],
    )


async def read_page(
    dialer: Dialer, address: str, port: int, path: str, *, max_body_bytes: int = MAX_BODY_BYTES
) -> WebPage | None:
    """Return the page; None: no HTTP response. At most `max_body_bytes` of its body are read."""
    reader = asyncio.StreamReader(limit=1 << 16)
    data = b""
    try:
        async with dialer.connect(lambda: _Protocol(reader), address, port) as protocol:
            protocol.write(
                checked_lines(
                    [f"GET {path} HTTP/1.0", f"Host: {address}:{port}", f"User-Agent: {USER_AGENT}",
                     "Accept: */*", "Connection: close"]
                )
            )  # fmt: skip
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    while not _is_enough(data, max_body_bytes):
                        more = await reader.read(1 << 14)
                        if not more:
                            break
                        data += more
            except TimeoutError:
                pass  # An endless or slow page: the received part counts.
        return _parse(data, max_body_bytes)
    except (SourceError, LimitError, OSError):
        return None


def _parse(data: bytes, max_body_bytes: int) -> WebPage | None:
    """Raises: ProtocolError, NotACameraError."""
    page = parse_page(data)
    if page is None or max_body_bytes <= MAX_BODY_BYTES:
        return page
    end = _HEAD_END.search(data)
    whole = data[end.end() :][:max_body_bytes] if end else b""
    return WebPage(page.status, page.server, page.realm, page.title, page.content_type, whole)


def _is_enough(data: bytes, max_body_bytes: int) -> bool:
    end = _HEAD_END.search(data[:MAX_HEAD_BYTES])
    if end is None:
        return len(data) > MAX_HEAD_BYTES
    if b"multipart/x-mixed-replace" in data[: end.start()].lower():
        return True
    title_ends = max_body_bytes <= MAX_BODY_BYTES and b"</title" in data[end.end() :].lower()
    return title_ends or len(data) - end.end() >= max_body_bytes


class _Protocol(asyncio.StreamReaderProtocol):
    """A protocol that can be written to before `open_connection` would return."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._out: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._out = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's.

    def write(self, data: bytes) -> None:
        if self._out is not None:
            self._out.write(data)


async def inspect_http(dialer: Dialer, address: str, port: int) -> Evidence | None:
    """Return the evidence of the web server at this port; None: there is no server, or it shows nothing."""
    path = MJPEG_PORTS.get(port, "/")
    page = await read_page(dialer, address, port, path)
    if page is None:
        return None
    url = f"http://{address}" if port == 80 else f"http://{address}:{port}"
    if page.is_mjpeg:
        app = next((each for each in APPS if each.port == port), None)
        stream = FoundStream(url + path, "main", "verified", "mjpeg")
        return Evidence(
            address,
            "http",
            "http_video",
            kind=app.kind if app else "unknown",
            model=app.name if app else "",
            port=port,
            streams=(stream,),
            needs_password=False,
        )
    app = next((each for each in APPS if each.sign.search(page.server) or each.sign.search(page.title)), None)
    if app is not None:
        return await _inspect_app(dialer, address, port, url, app)
    maker = maker_of_challenge(*filter(None, (page.realm, page.server, page.title)))
    if maker:
        return Evidence(address, "http", "http_page", kind="camera", maker=maker, port=port)
    return None


async def _inspect_app(dialer: Dialer, address: str, port: int, url: str, app: App) -> Evidence:
    if app.port:
        port, url = app.port, f"http://{address}:{app.port}"
    page = await read_page(dialer, address, port, app.path)
    is_open = page is not None and page.is_mjpeg
    is_locked = page is not None and page.status in (401, 403)
    stream = FoundStream(
        url + app.path,
        "main",
        "verified" if is_open else "locked" if is_locked else "guess",
        "mjpeg",
    )
    return Evidence(
        address,
        "http",
        "http_video" if is_open else "http_page",
        kind=app.kind,
        model=app.name,
        port=port,
        streams=(stream,),
        needs_password=False if is_open else True if is_locked else None,
    )
