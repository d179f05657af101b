"""Buffers the audio of a talk: it arrives in bursts, and leaves one packet at a time. No I/O, no clock."""

from ninjacam.talk.messages import SAMPLE_BYTES

START_S = 0.06
"""Seconds in the buffer with which a talkspurt begins, so that late audio causes no gap."""
MAX_S = 0.24
"""Maximum seconds in the buffer. Beyond it, the oldest audio is dropped, so that the delay does not grow."""
DRAIN_S = 0.2
"""Maximum seconds that are played after the end."""


class Playout:
    """`packet_samples`: number of samples that `take` returns."""

    def __init__(self, rate_hz: int, packet_samples: int) -> None:
        self._packet_bytes = packet_samples * SAMPLE_BYTES
        self._start_bytes = max(self._packet_bytes, _bytes(START_S, rate_hz))
        self._max_bytes = max(2 * self._packet_bytes, _bytes(MAX_S, rate_hz))
        self._drain_bytes = max(self._packet_bytes, _bytes(DRAIN_S, rate_hz))
        self._buffer = bytearray()
        self._is_playing = False
        self._is_ending = False
        self.dropped_bytes = 0

    def put(self, pcm: bytes) -> None:
        """Add audio, in pieces of any size. Ignored after `end`."""
        if self._is_ending:
            return
        self._buffer += pcm
        if len(self._buffer) > self._max_bytes:
            self._drop_all_but(self._start_bytes)

    def end(self) -> None:
        """No more audio comes: what is in the buffer is played, up to DRAIN_S."""
        self._is_ending = True
        self._drop_all_but(self._drain_bytes)

    @property
    def has_ended(self) -> bool:
        return self._is_ending and not self._buffer

    def take(self) -> tuple[bytes, bool] | None:
        """Return the samples of the packet that is due now, and whether it begins a talkspurt; None: there is none."""
        begins = not self._is_playing
        wanted = self._start_bytes if begins and not self._is_ending else self._packet_bytes
        if len(self._buffer) < wanted and not (self._is_ending and self._buffer):
            self._is_playing = False
            return None
        self._is_playing = True
        packet = bytes(self._buffer[: self._packet_bytes])
        del self._buffer[: self._packet_bytes]
        return packet.ljust(self._packet_bytes, b"\0"), begins

    def _drop_all_but(self, size_bytes: int) -> None:
        """Keep whole samples: a piece may have ended within one."""
        excess = len(self._buffer) - size_bytes
        if excess > 0:
            excess += excess % SAMPLE_BYTES
            self.dropped_bytes += excess
            del self._buffer[:excess]


def _bytes(seconds: float, rate_hz: int) -> int:
    return round(seconds * rate_hz) * SAMPLE_BYTES
