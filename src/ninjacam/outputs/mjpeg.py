"""Multipart JPEG (`multipart/x-mixed-replace`), which all browsers and most programs can play."""

from datetime import UTC, datetime
from functools import lru_cache

from ninjacam.core.packets import CameraState, Packet

CONTENT_TYPE = b"multipart/x-mixed-replace; boundary=ninjacam"
_BOUNDARY = b"--ninjacam\r\n"

PREAMBLE = _BOUNDARY
"""Sent once, before the first part."""


def rfc3339(wall_ns: int) -> str:
    """Return UTC with microseconds: "2026-11-22T08:00:00.123456Z"."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest_ns // 1000:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Return the formatted second. All frames of a second share it, and formatting takes ten times as long."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def encode_part(packet: Packet, state: CameraState) -> bytes:
    """Return one frame, with the boundary *after* it: browsers show a part when they receive the next boundary.

    X-Timestamp is the capture time in seconds since 1970, as in mjpg-streamer; unknown times are omitted.
    """
    stamp = ""
    if packet.captured_ns:
        seconds, rest_ns = divmod(packet.captured_ns, 1_000_000_000)
        stamp = (
            f"X-Timestamp: {seconds}.{rest_ns // 1000:06d}\r\n"
            f"X-Ninjacam-Timestamp: {rfc3339(packet.captured_ns)}\r\n"
        )
    head = (
        f"Content-Type: image/jpeg\r\nContent-Length: {len(packet.data)}\r\n"
        f"X-Ninjacam-State: {state.value}\r\n{stamp}\r\n"
    )
    return b"".join((head.encode(), packet.data, b"\r\n", _BOUNDARY))
