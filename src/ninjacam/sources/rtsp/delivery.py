"""How the packets of a session reach us: what every way offers, and the Transport header that agrees on one.

The ways: `interleaved` (over the TCP connection), `udp` (unicast and multicast).
"""

from collections.abc import Callable
from typing import Protocol

from ninjacam.sources.rtsp.tracks import RtspTrack

OnRtcp = Callable[[RtspTrack, bytes, int], None]
"""(track, compound packet, received_ns)"""


class Delivery(Protocol):
    """Owner: the session, which offers a Transport for each track and passes on what the camera answers."""

    refusal: str
    """What to tell a person when the camera refuses this way (status 461)."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def last_bytes_ns(self) -> int: ...

    ordered: bool
    """Whether packets arrive in the order in which they were sent."""

    def offers(self, index: int) -> tuple[str, ...]:
        """The Transport headers that ask for track number `index` (from 0), each for when the one before is refused.

        Raises: SourceError.
        """

    def accept(self, index: int, track: RtspTrack, transport: str) -> None:
        """Take the camera's answer to an offer; "": it gave none. Raises: SourceError."""

    def listen(self, on_rtcp: OnRtcp) -> None:
        """Packets may come from now on: RTP goes to the receivers of the tracks."""

    async def wait_for_media(self) -> None:
        """After PLAY. Raises: SourceTimeoutError: nothing arrives this way."""

    def send_rtcp(self, track: RtspTrack, data: bytes) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def relax(self, interval_s: float) -> None:
        """As `Source.relax`."""

    def close(self) -> None:
        """Idempotent."""


def transport_parameters(header: str) -> dict[str, str]:
    """The parameters of a Transport header, names in lower case; of its first alternative where there are several."""
    found: dict[str, str] = {}
    for item in header.partition(",")[0].split(";")[:32]:
        name, _, value = item.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def is_rtcp(second_byte: int) -> bool:
    """Whether a packet is RTCP, by its second byte (RFC 5761, section 4)."""
    return 192 <= second_byte <= 223
