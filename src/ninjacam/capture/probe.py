"""`python -m ninjacam.capture.probe`: open a camera once and report its video or its error.

A separate process, because it decodes data of an unknown device. Reads {"source": {...SourceConfig}, "timeout_s"} as
JSON from standard input (never from arguments, which every user can read) and prints one JSON line: {"ok", "error",
"codec", "width", "height", "audio_codec", "jpeg_base64"}.
"""

import asyncio
import base64
import json
import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.errors import DecodeError, NinjacamError, NoVideoError, SourceMemoryError
from ninjacam.core.limits import NATIVE_DATA_BYTES, confine, die_with_named_parent, keep_files_private
from ninjacam.core.packets import Kind, Packet
from ninjacam.core.texts import sentence
from ninjacam.sources.base import SourceConfig, source_from
from ninjacam.sources.registry import open_source

MEMORY_BYTES = 4 << 30
WIDTH_PX = 640
QUANTIZER = "4"
"""JPEG quality of FFmpeg: 2 is the best, 31 the worst."""


async def probe_once(config: SourceConfig, *, timeout_s: float) -> dict[str, Any]:
    """Open a camera once and return its video format and an image. Raises: NinjacamError: an error for the user to
    fix."""
    open_timeout_s = min(config.open_timeout_s, timeout_s)
    source = await open_source(replace(config, open_timeout_s=open_timeout_s, read_timeout_s=timeout_s))
    first: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()

    def on_packet(packet: Packet) -> None:
        if packet.kind is Kind.VIDEO and packet.is_key and not first.done():
            first.set_result(packet)

    run = asyncio.ensure_future(source.run(on_packet))
    try:
        await asyncio.wait((first, run), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            if run.done():
                run.result()  # raises
            raise NoVideoError(
                sentence(
                    "The camera accepted the connection but sent no frame within %(timeout_s)s s; check that "
                    "its stream is enabled.",
                    timeout_s=f"{timeout_s:g}",
                )
            )
        packet = first.result()
    finally:
        await source.close()
        await asyncio.gather(run, return_exceptions=True)
    audio = next((track.codec.label for track in source.tracks if track.kind is Kind.AUDIO), None)
    return {
        "ok": True,
        "error": None,
        "codec": packet.codec.label,
        "width": packet.width_px,
        "height": packet.height_px,
        "audio_codec": audio,
        "jpeg_base64": base64.b64encode(_jpeg(packet)).decode(),
    }


def _jpeg(packet: Packet) -> bytes:
    """Decode and encode with FFmpeg alone: NumPy and OpenCV would reserve more memory than this process may use.

    Raises: DecodeError, SourceMemoryError.
    """
    import av

    try:
        decoder = av.CodecContext.create(packet.codec.label, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        decoder.thread_count = 1
        frames = decoder.decode(av.Packet(packet.data)) or decoder.decode(None)
        if not frames:
            raise DecodeError("The camera's first frame cannot be decoded.")
        encoder = av.CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = WIDTH_PX, max(2, frames[0].height * WIDTH_PX // frames[0].width)
        encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuvj420p", Fraction(1, 25), 1
        encoder.options = {"qmin": QUANTIZER, "qmax": QUANTIZER}
        frame = frames[0].reformat(encoder.width, encoder.height, "yuvj420p", threads=1)
        return b"".join(map(bytes, (*encoder.encode(frame), *encoder.encode(None))))
    except MemoryError as exc:
        raise SourceMemoryError("The camera's first frame takes too much memory.") from exc
    except av.FFmpegError as exc:
        raise DecodeError("The camera's first frame cannot be decoded.") from exc


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    confine(memory_bytes=MEMORY_BYTES, data_bytes=NATIVE_DATA_BYTES)
    values = json.load(sys.stdin)
    try:
        answer = asyncio.run(
            probe_once(source_from(values["source"]), timeout_s=float(values.get("timeout_s", 8)))
        )
    except NinjacamError as exc:
        answer = {"ok": False, "error": exc.as_dict()}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
