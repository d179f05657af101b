"""The active parameter sets of H.264 and H.265: from the SDP first, then from the stream."""

from ninjacam.codecs.bitstream import (
    START_CODE,
    SpsInfo,
    iter_nal_units,
    nal_type,
    parameter_set_id,
    parse_sps,
)
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec

MAX_PARAMETER_SETS = 64
PLACES = {Codec.H264: {7: 1, 8: 2}, Codec.H265: {32: 0, 33: 1, 34: 2}}
"""NAL type -> its position in the order VPS, SPS, PPS."""


class ParameterSetCache:
    """The parameter sets of one stream, by type and id."""

    def __init__(self, codec: Codec, annexb: bytes = b"") -> None:
        self._codec = codec
        self.order = PLACES[codec]
        self._sets: dict[tuple[int, int], bytes] = {}
        self.info: SpsInfo | None = None
        self.changed = True
        for start, stop in iter_nal_units(annexb):
            if nal_type(codec, annexb[start]) in self.order:
                self.add(annexb[start:stop])

    def add(self, nal: bytes) -> None:
        """Store a parameter set; a malformed one is ignored."""
        kind = nal_type(self._codec, nal[0])
        try:
            key = (self.order[kind], parameter_set_id(self._codec, nal))
            if self._sets.get(key) == nal:
                return
            if key[0] == 1:
                self.info = parse_sps(self._codec, nal)
        except DecodeError:
            return
        if len(self._sets) >= MAX_PARAMETER_SETS:
            self._sets.clear()
        self._sets[key] = nal
        self.changed = True

    @property
    def complete(self) -> bool:
        return self.info is not None and any(place == 2 for place, _ in self._sets)

    def annexb(self) -> bytes:
        return b"".join(START_CODE + self._sets[key] for key in sorted(self._sets))
