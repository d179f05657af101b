"""What every source is: the configuration it gets, and the interface it offers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ninjacam.core.packets import Packet, Track

OnPacket = Callable[[Packet], None]
"""Called in the event loop for each packet, in the order of decoding. Fast, never blocks, never raises."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How to reach a camera. `url` holds no credentials: they stand in `username` and `password`, which repr hides."""

    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP: how to ask for the packets. A camera that refuses this way is asked for the other one; TLS has TCP only."""
    loop: bool = True
    """Files: start again at the end."""
    verify_tls: bool = True
    """rtsps and https: check the certificate. Cameras with self-signed ones need False."""
    audio: bool = True
    open_timeout_s: float = 10.0
    """From the first name look-up to the answer to PLAY. No open takes longer than this."""
    read_timeout_s: float = 5.0
    """No bytes for so long ends `run` with SourceStalledError."""
    allowed_networks: tuple[str, ...] = ()
    """CIDR networks a camera may be in; empty: any but the link-local ones (cloud metadata lives there)."""
    files_dir: str = ""
    """file: URLs must lie below it; empty: file: URLs are forbidden."""


@dataclass(slots=True)
class SourceStats:
    """Counters since open. Owner: the source; everybody may read."""

    bytes_received: int = 0
    packets_lost: int = 0
    """RTP packets that never came."""
    packets_reordered: int = 0
    packets_ignored: int = 0
    """Packets of another source or payload type than the stream's."""
    sequence_restarts: int = 0
    """How often the numbers of packets began anew over TCP, where nothing arrives late."""
    access_units_dropped: int = 0
    """Pictures thrown away because a part of them was lost or malformed."""
    pictures_skipped: int = 0
    """Whole pictures before the first one that a decoder can start with."""
    keys_without_sets: int = 0
    """Key frames thrown away because their parameter sets are not known."""


class Source(Protocol):
    """An open camera. `open_source` makes one; whoever opened it closes it."""

    tracks: tuple[Track, ...]
    stats: SourceStats

    async def run(self, on_packet: OnPacket) -> None:
        """Deliver packets until the source ends. Call once.

        Packets have `pts` on the camera's clock (unwrapped, not repaired), `dts_offset` 0 (capture derives it),
        `received_ns`, `flags` KEY where a decoder can start, CONFIG on the first key frame and whenever the
        parameter sets have changed, DISCONT after a loss; `captured_ns` is 0 but where the camera said it (RTCP
        sender report), then as the camera said. Video of H.264 and H.265 is Annex B with the parameter sets in band
        at each key frame; the first video packet is a key frame. `width_px` and `height_px` are those of the
        parameter sets.

        Raises: SourceError: always, in the end (SourceEndedError where the camera closed).
        """

    def media_ns(self) -> int:
        """Monotonic time at which media last came, also of data that form no picture; 0: not known."""
        return 0

    def relax(self, interval_s: float) -> None:
        """Where it saves work, deliver what has come every `interval_s` only; 0: at once, as from the start."""
        return

    async def close(self) -> None:
        """Say goodbye within 1 s and free everything. Idempotent; also ends a `run` under way."""
