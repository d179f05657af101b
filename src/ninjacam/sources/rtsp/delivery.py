"""The delivery of a session's packets: the interface, and the Transport header that negotiates a delivery.

Implementations: `interleaved` (over the TCP connection), `udp` (unicast and multicast).
"""

from collections.abc import Callable
from typing import Protocol

from ninjacam.sources.rtsp.tracks import RtspTrack

OnRtcp = Callable[[RtspTrack, bytes, int], None]
"""(track, compound packet, received_ns)"""


class Delivery(Protocol):
    """A way to receive packets. Owner: the session, which offers a Transport for each track and passes the camera's
    response."""

    refusal: str
    """Message for the user if the camera refuses this delivery (status 461)."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def last_bytes_ns(self) -> int: ...

    ordered: bool
    """Whether packets arrive in the order in which they were sent."""

    def offers(self, index: int) -> tuple[str, ...]:
        """Yield the Transport headers to request for track number `index` (from 0), each after the previous one was
        refused.

        Raises: SourceError.
        """

    def accept(self, index: int, track: RtspTrack, transport: str) -> None:
        """Process the camera's response to an offer; "": it contained none. Raises: SourceError."""

    def listen(self, on_rtcp: OnRtcp) -> None:
        """Start to receive packets, and pass RTP to the receivers of the tracks."""

    async def wait_for_media(self) -> None:
        """Wait for packets after PLAY. Raises: SourceTimeoutError: no packets arrive."""

    def send_rtcp(self, track: RtspTrack, data: bytes) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def relax(self, interval_s: float) -> None:
        """As `Source.relax`."""

    def close(self) -> None:
        """Idempotent."""


def transport_parameters(header: str) -> dict[str, str]:
    """Return the parameters of a Transport header, names in lower case. Of several alternatives, only the first is
    used."""
    found: dict[str, str] = {}
    for item in header.partition(",")[0].split(";")[:32]:
        name, _, value = item.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def is_rtcp(second_byte: int) -> bool:
    """Return whether a packet is RTCP, by its second byte (RFC 5761, section 4)."""
    return 192 <= second_byte <= 223
