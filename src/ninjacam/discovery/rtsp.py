"""Queries the streams of an RTSP server, without a login and without playing: OPTIONS and DESCRIBE."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Literal

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import LimitError, SourceEndedError, SourceError
from ninjacam.core.packets import Track
from ninjacam.discovery.devices import Evidence, FoundStream
from ninjacam.discovery.dialer import Dialer
from ninjacam.discovery.makers import BY_NAME, COMMON_PATHS, MAKERS, Maker, maker_of_challenge
from ninjacam.discovery.text import clean
from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.messages import RtspMessage
from ninjacam.sources.rtsp.sdp import parse_sdp
from ninjacam.sources.rtsp.tracks import choose_tracks

MAX_PATHS = 28
MAX_CONNECTIONS = 3
"""Maximum number of connections. Some servers close the connection after each error."""
ANSWER_TIMEOUT_S = 1.5
TIMEOUT_S = 6.0
_REALM = re.compile(r'realm\s*=\s*"([^"]{0,200})"', re.IGNORECASE)


@dataclass(slots=True)
class _Found:
    """The result so far. `speaks`: the server has responded in RTSP. `asked`: paths that need not be requested
    again."""

    speaks: bool = False
    is_done: bool = False
    is_locked: bool = False
    maker: str = ""
    streams: list[FoundStream] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)


async def inspect_rtsp(dialer: Dialer, address: str, port: int, maker: str = "") -> Evidence | None:
    """Return the evidence of the RTSP server at this port; None: there is none.

    `maker`: suggested by other evidence; its paths are requested first.
    """
    found = _Found(maker=maker)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            for _ in range(MAX_CONNECTIONS):
                if await _ask_once(dialer, address, port, found):
                    break
    except (SourceError, LimitError, TimeoutError):
        pass  # Refused, closed, or too slow: the results until then count.
    return _evidence(address, port, found) if found.speaks else None


async def _ask_once(dialer: Dialer, address: str, port: int, found: _Found) -> bool:
    """Send requests on one connection. Return False if the server closed it early. Raises: SourceError, LimitError."""
    base = f"rtsp://{address}" if port == 554 else f"rtsp://{address}:{port}"
    async with dialer.connect(lambda: RtspConnection(SYSTEM_CLOCK, address), address, port) as connection:
        try:
            if not found.speaks:
                _note(await _ask(connection, "OPTIONS", f"{base}/"), found)
            while (path := _next_path(found)) is not None:
                found.asked.add(path)
                _read(await _ask(connection, "DESCRIBE", base + path), base, path, found)
                connection.forgive()
        except SourceEndedError:
            return not found.speaks
    return True


async def _ask(connection: RtspConnection, method: str, uri: str) -> RtspMessage:
    """Return the response to a request. Raises: SourceError, TimeoutError."""
    headers = {"Accept": "application/sdp"} if method == "DESCRIBE" else {}
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        return await connection.request(method, uri, headers)


def _note(answer: RtspMessage, found: _Found) -> None:
    found.speaks = True
    texts = [clean(answer.header("server"))]
    texts += [
        clean(realm)
        for challenge in answer.headers.get("www-authenticate", [])[:4]
        for realm in _REALM.findall(challenge)
    ]
    found.maker = maker_of_challenge(*filter(None, texts)) or found.maker


def _next_path(found: _Found) -> str | None:
    if found.is_done or len(found.asked) >= MAX_PATHS:
        return None
    known = BY_NAME.get(found.maker)
    if found.streams:  # The first path is open. If it was the maker's main path, request the second one, too.
        sub = known.sub if known is not None and found.streams[0].url.endswith(known.main) else ""
        return sub if sub and sub not in found.asked else None
    first = (known.main,) if known is not None else ()
    paths = (*first, *COMMON_PATHS, *(maker.main for maker in MAKERS))
    return next((path for path in paths if path not in found.asked), None)


def _read(answer: RtspMessage, base: str, path: str, found: _Found) -> None:
    _note(answer, found)
    if answer.status in (401, 403):
        found.is_locked = not found.streams
        found.is_done = True
    elif answer.status == 200:
        track = _video_of(answer.body)
        if track is not None:
            found.streams.append(
                FoundStream(
                    base + path,
                    "sub" if found.streams else "main",
                    "verified",
                    track.codec.label,
                    track.width_px,
                    track.height_px,
                )
            )


def _video_of(body: bytes) -> Track | None:
    try:
        return choose_tracks(parse_sdp(body), _discard, SourceStats(), audio=False)[0].track
    except SourceError:
        return None


def _discard(*_: object) -> None:
    """Discard media: nothing is played."""


def _evidence(address: str, port: int, found: _Found) -> Evidence:
    known = BY_NAME.get(found.maker)
    streams = tuple(found.streams)
    if found.is_locked:
        streams = expected_streams(address, port, known, "locked")
    return Evidence(
        address,
        "rtsp",
        "rtsp_video" if found.streams else "rtsp_locked" if found.is_locked else "rtsp_server",
        maker=found.maker,
        port=port,
        streams=streams,
        needs_password=False if found.streams else True if found.is_locked else None,
    )


def expected_streams(
    address: str, port: int, known: Maker | None, state: Literal["locked", "guess"]
) -> tuple[FoundStream, ...]:
    """Return the expected streams of a device that does not describe them."""
    base = f"rtsp://{address}" if port == 554 else f"rtsp://{address}:{port}"
    if known is None:
        return (FoundStream(f"{base}/", "main", "guess"),)
    main = FoundStream(base + known.main, "main", state)
    return (main, FoundStream(base + known.sub, "sub", state)) if known.sub else (main,)
