"""Audio of recordings: AAC unchanged, and G.711 re-encoded to AAC, because MP4 does not support it.

Thread: the writer's. Unsupported audio is omitted, and the index then lists no audio.
"""

import logging
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ninjacam.codecs.aac import RATES_HZ
from ninjacam.containers.mp4 import Mp4Track, aac_entry
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import Codec, Kind, Packet, Track

if TYPE_CHECKING:
    import av

logger = logging.getLogger("ninjacam.recordings")

AUDIO_TRACK = 2
FRAME_SAMPLES = 1024
G711_HZ = 8000
AAC_BPS = 32_000
"""Sufficient for speech with a bandwidth of 4 kHz, which is sent as 64 kbit/s."""


class AacFrame(NamedTuple):
    """One AAC frame. `pts`, `duration`: in ticks of the track. `captured_ns`: wall clock of its first sample."""

    data: bytes
    pts: int
    duration: int
    captured_ns: int


class Sound(Protocol):
    """Converts a camera's audio packets to AAC. `source`: the label of the camera's codec."""

    track: Mp4Track
    source: str

    def feed(self, packet: Packet) -> list[AacFrame]:
        """Return the frames that are complete now. Raises: EncodeError: no more audio can be converted."""

    def drain(self) -> list[AacFrame]:
        """Return buffered audio at the end of the file. Raises: EncodeError."""


class AacSound:
    def __init__(self, track: Track) -> None:
        """Raises: EncodeError: AAC cannot be played without its AudioSpecificConfig."""
        rate_hz, channels = _describe(track)
        self.source = Codec.AAC.label
        self.track = Mp4Track(
            AUDIO_TRACK,
            track.time_base_hz,
            aac_entry(track.extradata, sample_rate_hz=rate_hz, channels=channels),
            name=self.source,
        )

    def feed(self, packet: Packet) -> list[AacFrame]:
        return [AacFrame(packet.data, packet.pts, packet.duration or FRAME_SAMPLES, packet.captured_ns)]

    def drain(self) -> list[AacFrame]:
        return []


class G711Sound:
    """Owns an encoder, which is restarted for each file: its last frame is padded with silence."""

    def __init__(self, codec: Codec) -> None:
        self._low, self._high = _tables(codec)
        self._encoder = _Encoder()
        self._last = Packet(Kind.AUDIO, codec, b"", 0, 0)
        self.source = codec.label
        self.track = Mp4Track(
            AUDIO_TRACK,
            G711_HZ,
            aac_entry(self._encoder.config, sample_rate_hz=G711_HZ, channels=1),
            name=self.source,
        )

    def feed(self, packet: Packet) -> list[AacFrame]:
        data = packet.data
        if not data:
            return []
        pcm = bytearray(2 * len(data))
        pcm[0::2] = data.translate(self._low)
        pcm[1::2] = data.translate(self._high)
        self._last = packet
        return self._units(self._encoder.encode(bytes(pcm), packet.pts))

    def drain(self) -> list[AacFrame]:
        units = self._units(self._encoder.finish())
        self._encoder = _Encoder()
        return units

    def _units(self, frames: list[tuple[bytes, int]]) -> list[AacFrame]:
        last = self._last
        return [
            AacFrame(data, pts, FRAME_SAMPLES, last.captured_ns + (pts - last.pts) * 1_000_000_000 // G711_HZ)
            for data, pts in frames
        ]


class _Encoder:
    """Encodes 16-bit mono samples at 8 kHz to AAC. All methods may raise EncodeError."""

    def __init__(self) -> None:
        import av  # Imported only when needed: 30 MB.

        self._av = av
        self._resampler = av.AudioResampler(
            format="fltp", layout="mono", rate=G711_HZ, frame_size=FRAME_SAMPLES
        )
        context = av.CodecContext.create("aac", "w")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout, context.format = G711_HZ, "mono", "fltp"
        context.bit_rate = AAC_BPS
        try:
            context.open()
        except av.FFmpegError as exc:
            raise EncodeError("AAC audio cannot be encoded on this host.") from exc
        self._context = context
        self.config = context.extradata or b""
        self._samples = 0
        self._base: int | None = None
        """pts of the sample that the encoder counts as 0."""

    def encode(self, pcm: bytes, pts: int) -> list[tuple[bytes, int]]:
        """Yield (AAC frame, pts) of all complete frames."""
        if self._base is None or abs(pts - self._base - self._samples) > FRAME_SAMPLES:
            self._base = pts - self._samples  # After a gap: the encoder buffers a frame or two.
        samples = len(pcm) // 2
        frame = self._av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.pts, frame.time_base = G711_HZ, self._samples, Fraction(1, G711_HZ)
        self._samples += samples
        return self._encode(frame)

    def finish(self) -> list[tuple[bytes, int]]:
        return self._encode(None) if self._samples else []

    def _encode(self, frame: "av.AudioFrame | None") -> list[tuple[bytes, int]]:
        base = self._base or 0
        try:
            made = [unit for full in self._resampler.resample(frame) for unit in self._context.encode(full)]
            if frame is None:
                made += self._context.encode(None)
        except self._av.FFmpegError as exc:
            raise EncodeError("The audio cannot be encoded to AAC.") from exc
        # Times below 0 are the encoder's priming, which is silent.
        return [(bytes(unit), base + unit.pts) for unit in made if unit.pts is not None and unit.pts >= 0]


def make_sound(track: Track | None) -> Sound | None:
    """Return a converter for the track; None: no audio, or audio that cannot be recorded."""
    if track is None:
        return None
    try:
        if track.codec is Codec.AAC:
            return AacSound(track)
        if track.codec in (Codec.PCMA, Codec.PCMU) and track.time_base_hz == G711_HZ:
            return G711Sound(track.codec)
    except EncodeError as exc:
        logger.warning("recording without audio: %s", exc)
    return None


def _describe(track: Track) -> tuple[int, int]:
    """Return (sample rate, channels) of the track or its AudioSpecificConfig."""
    config = track.extradata
    if len(config) < 2:
        raise EncodeError("The camera does not describe its AAC audio.")
    bits = int.from_bytes(config[:2], "big")
    index, channels = bits >> 7 & 15, bits >> 3 & 15
    rate_hz = track.sample_rate_hz or (RATES_HZ[index] if index < len(RATES_HZ) else track.time_base_hz)
    return rate_hz, track.channels or channels or 1


def _tables(codec: Codec) -> tuple[bytes, bytes]:
    """Return the low and the high bytes of the 16-bit samples of all 256 codes (ITU-T G.711)."""
    decode = _alaw if codec is Codec.PCMA else _mulaw
    words = [struct.pack("<h", decode(code)) for code in range(256)]
    return bytes(word[0] for word in words), bytes(word[1] for word in words)


def _alaw(code: int) -> int:
    code ^= 0x55
    segment, value = code >> 4 & 7, code << 4 & 0xF0
    value = value + 8 if segment == 0 else (value + 0x108) << segment - 1
    return value if code & 0x80 else -value


def _mulaw(code: int) -> int:
    code = ~code & 0xFF
    value = ((code << 3 & 0x78) + 0x84 << (code >> 4 & 7)) - 0x84
    return -value if code & 0x80 else value
