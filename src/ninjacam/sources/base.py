"""The configuration and interface of all sources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ninjacam.core.packets import Packet, Track

OnPacket = Callable[[Packet], None]
"""Called in the event loop for each packet, in decoding order. Fast, never blocks, never raises."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """The configuration of a camera's source. `url` contains no credentials: they are in `username` and `password`,
    which repr hides."""

    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    transport: Literal["tcp", "udp", "multicast"] = "tcp"
    """RTSP: preferred transport. If the camera refuses TCP, the others are tried, and vice versa. With TLS, only TCP
    is used."""
    loop: bool = True
    """Files: repeat from the start."""
    verify_tls: bool = True
    """rtsps and https: verify the certificate. Cameras with self-signed certificates need False."""
    audio: bool = True
    sleeps: bool = False
    """A battery camera: connect only if the stream is used, and expect that the camera does not respond."""
    open_timeout_s: float = 10.0
    """Seconds from the first name lookup to the response to PLAY. Limits every open."""
    read_timeout_s: float = 5.0
    """Seconds without data after which `run` ends with SourceStalledError."""
    allowed_networks: tuple[str, ...] = ()
    """CIDR networks allowed for cameras; empty: all but link-local ones (which include cloud metadata services)."""
    publish_keys: tuple[str, ...] = field(default=(), repr=False)
    """push: the keys of its publishers, as `sources.publish.hash_key` returns them."""
    files_dir: str = ""
    """Directory of file: URLs; empty: file: URLs are forbidden."""


def source_from(values: Mapping[str, Any]) -> SourceConfig:
    """Return the configuration from its JSON form, in which tuples are lists."""
    tuples = {name: tuple(values.get(name, ())) for name in ("allowed_networks", "publish_keys")}
    return SourceConfig(**{**values, **tuples})


@dataclass(slots=True)
class SourceStats:
    """Statistics since the open. Owner: the source; any code may read them. RTSP updates those of the whole
    connection once a second."""

    bytes_received: int = 0
    packets_received: int = 0
    """Received RTP packets; 0 if the source does not use RTP."""
    packets_lost: int = 0
    """Missing RTP packets."""
    packets_reordered: int = 0
    packets_ignored: int = 0
    """Packets of another synchronization source or payload type than the stream's."""
    sequence_restarts: int = 0
    """Number of restarts of the sequence numbers over TCP, where packets cannot arrive late."""
    access_units_dropped: int = 0
    """Frames discarded because a part was lost or malformed."""
    frames_skipped: int = 0
    """Complete frames before the first one that a decoder can start with."""
    keys_without_sets: int = 0
    """Key frames discarded because of missing parameter sets."""
    jitter_s: float | None = None
    """Interarrival jitter of the video (RFC 3550, section 6.4.1); None: unknown, or packets are not read at once."""
    declared_fps: float = 0.0
    """Frames per second according to the camera's description of the stream; 0: not specified."""
    clock_offset_s: float | None = None
    """Seconds by which the camera's wall clock is ahead of this host's, from its sender reports; None: unknown."""


class Source(Protocol):
    """An open camera. `open_source` creates it; the caller of `open_source` closes it."""

    tracks: tuple[Track, ...]
    stats: SourceStats

    async def run(self, on_packet: OnPacket) -> None:
        """Deliver packets until the source ends. Call once.

        Packets have `pts` on the camera's clock (unwrapped, not repaired), `dts_offset` 0 (capture derives it),
        `received_ns`, `flags` KEY where a decoder can start, CONFIG on the first key frame and whenever the
        parameter sets have changed, DISCONT after a loss. `captured_ns` is 0 unless the camera sent it (RTCP sender
        report), and is then unverified. H.264 and H.265 video is Annex B with in-band parameter sets at each key
        frame; the first video packet is a key frame. `width_px` and `height_px` are those of the parameter sets.

        Raises: SourceError: always, when the source ends (SourceEndedError if the camera closed the connection).
        """

    def media_ns(self) -> int:
        """Return the monotonic time of the last media, including data that forms no frame; 0: unknown."""
        return 0

    def relax(self, interval_s: float) -> None:
        """Deliver packets only every `interval_s`, if this saves work; 0: at once, the default."""
        return

    async def close(self) -> None:
        """Close the session within 1 s and free everything. Idempotent; also ends a running `run`."""
