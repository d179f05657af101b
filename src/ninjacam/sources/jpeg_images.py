"""Converts single JPEG images to packets, for all MJPEG sources except RTP."""

from collections.abc import Callable

from ninjacam.codecs.bitstream import jpeg_size
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.sources.base import SourceStats


class JpegImages:
    """Checks each image, and detects its size and size changes."""

    def __init__(self, emit: Callable[[Packet], None], stats: SourceStats) -> None:
        self._emit = emit
        self._stats = stats
        self._size = (0, 0)
        self._missing = False

    def gap(self) -> None:
        self._missing = True

    def push_unit(self, data: bytes, pts: int, received_ns: int, captured_ns: int = 0) -> None:
        """Add an image. `pts` in 1/90000 s. Data that is not a JPEG is dropped and counted."""
        try:
            size = jpeg_size(data)
        except DecodeError:
            self._stats.access_units_dropped += 1
            self._missing = True
            return
        flags = Flags.KEY
        if size != self._size:
            flags |= Flags.CONFIG
        if self._missing and self._size[0]:
            flags |= Flags.DISCONT
        self._size, self._missing = size, False
        self._emit(
            Packet(
                Kind.VIDEO,
                Codec.MJPEG,
                data,
                pts,
                received_ns,
                flags=flags,
                captured_ns=captured_ns,
                width_px=size[0],
                height_px=size[1],
            )
        )
