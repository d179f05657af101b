"""Encodes PCM to what a camera's loudspeaker takes: G.711, or AAC in RTP packets (RFC 3640, AAC-hbr)."""

import asyncio
import importlib
import struct
from array import array
from fractions import Fraction
from typing import Any, Protocol

from ninjacam.codecs.g711 import Law, encode_g711
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import Codec
from ninjacam.sources.rtsp.back_channel import AudioFormat

AAC_BITRATE_BPS = 32_000
_AU_HEADER = struct.Struct("!HH")
"""The length of the headers in bits, and one header: 13 bits of size, 3 bits of index."""


class AudioEncoder(Protocol):
    def encode(self, pcm: bytes) -> bytes:
        """Return the payload of an RTP packet. `pcm`: `AudioFormat.packet_samples` samples. b"": none yet."""


class G711Encoder:
    def __init__(self, law: Law) -> None:
        self._law = law

    def encode(self, pcm: bytes) -> bytes:
        return encode_g711(pcm, self._law)


class AacEncoder:
    """`av`: the module, which is imported only for cameras that take nothing else, because it needs 30 MB."""

    def __init__(self, audio: AudioFormat, av: Any) -> None:
        self._av = av
        self._layout = "mono" if audio.channels == 1 else "stereo"
        self._pts = 0
        context = av.CodecContext.create("aac", "w")
        context.sample_rate = audio.rate_hz
        context.layout = self._layout
        context.format = "fltp"
        context.bit_rate = AAC_BITRATE_BPS
        context.time_base = Fraction(1, audio.rate_hz)
        try:
            context.open()
        except av.FFmpegError as exc:
            raise EncodeError("AAC audio cannot be encoded on this host.") from exc
        self._context = context

    def encode(self, pcm: bytes) -> bytes:
        samples = array("h", pcm)
        frame = self._av.AudioFrame(format="fltp", layout=self._layout, samples=len(samples))
        frame.sample_rate = self._context.sample_rate
        frame.pts = self._pts
        self._pts += len(samples)
        data = array("f", [sample / 32768 for sample in samples]).tobytes()
        for plane in frame.planes:
            plane.update(data)
        units = [bytes(packet) for packet in self._context.encode(frame)]
        return b"".join(_AU_HEADER.pack(16, len(unit) << 3) + unit for unit in units[:1])


async def make_encoder(audio: AudioFormat) -> AudioEncoder:
    """Raises: EncodeError: this host has no encoder for it."""
    if audio.codec is Codec.AAC:
        return AacEncoder(audio, await asyncio.to_thread(importlib.import_module, "av"))
    return G711Encoder("ulaw" if audio.codec is Codec.PCMU else "alaw")
