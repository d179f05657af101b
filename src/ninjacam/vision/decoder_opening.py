"""Opens decoders on the device that `NINJACAM["DECODE"]` names, or in software, and says why.

Not here: decoding (`vision.images`).
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ninjacam.core.decode_devices import HARDWARE, SOFTWARE
from ninjacam.core.packets import Codec

if TYPE_CHECKING:
    import av

logger = logging.getLogger("ninjacam.vision")

_NODES = {"cuda": "/dev/nvidiactl", "vaapi": "/dev/dri", "qsv": "/dev/dri"}
"""`auto` tries a device only if this exists."""


class OpenedDecoder(NamedTuple):
    """`device`: "software", or what decodes. `reason`: why it is software although hardware was wanted; else ""."""

    context: "av.VideoCodecContext"
    device: str
    reason: str = ""


class DecoderOpening:
    """`wanted`: one of DECODE_DEVICES. Thread: any."""

    def __init__(self, wanted: str = SOFTWARE) -> None:
        self._wanted = wanted
        self._refusals: dict[tuple[str, Codec], str] = {}
        """(device, codec) -> why not. Each device is tried once: a driver that is missing takes long to find out."""
        self._lock = threading.Lock()

    def open(self, codec: Codec) -> OpenedDecoder:
        """Return a decoder that is not configured yet."""
        reason = ""
        for device in self._candidates():
            with self._lock:
                refusal = self._refusals.get((device, codec))
                if refusal is None:
                    context, refusal = _open_hardware(device, codec)
                    if context is not None:
                        return OpenedDecoder(context, device)
                    self._refusals[device, codec] = refusal
                    _log(codec, refusal)
            reason = reason or refusal
        return OpenedDecoder(_create(codec), SOFTWARE, reason)

    def open_software(self, codec: Codec, device: str, error: Exception) -> OpenedDecoder:
        """Return a decoder for a stream that `device` has not decoded, with `error`."""
        reason = f"{device} cannot decode this stream ({type(error).__name__})"
        _log(codec, reason)
        return OpenedDecoder(_create(codec), SOFTWARE, reason)

    def _candidates(self) -> tuple[str, ...]:
        if self._wanted == "auto":
            return tuple(device for device in HARDWARE if Path(_NODES[device]).exists())
        return () if self._wanted == SOFTWARE else (self._wanted,)


_opening = DecoderOpening()


def decode_on(device: str) -> None:
    """Set the device of this process: one of DECODE_DEVICES."""
    global _opening
    _opening = DecoderOpening(device)


def current_opening() -> DecoderOpening:
    return _opening


def _open_hardware(device: str, codec: Codec) -> tuple["av.VideoCodecContext | None", str]:
    """Return a decoder, or the reason why there is none."""
    import av
    from av.codec.hwaccel import HWAccel

    try:
        # Without FFmpeg's own fallback: it would be silent.
        context = _create(codec, HWAccel(device_type=device, allow_software_fallback=False))
    except (av.FFmpegError, ValueError, RuntimeError) as error:
        return None, f"{device} does not work on this host ({type(error).__name__})"
    if not context.is_hwaccel:
        return None, f"PyAV's FFmpeg cannot decode {codec.label} on {device}"
    return context, ""


def _create(codec: Codec, accelerator: "av.codec.hwaccel.HWAccel | None" = None) -> "av.VideoCodecContext":
    import av

    context = av.CodecContext.create(codec.label, "r", hwaccel=accelerator)
    assert isinstance(context, av.VideoCodecContext)
    return context


def _log(codec: Codec, reason: str) -> None:
    logger.warning("%s video is decoded in software: %s.", codec.label, reason)
