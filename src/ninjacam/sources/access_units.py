"""Access units of H.264 and H.265 out of NAL units: what all ways to a camera share.

An access unit closes on the RTP marker bit, or on the next timestamp where a camera forgets the marker. It is dropped
where a part of it is missing; the next one then bears DISCONT. Parameter sets are remembered and put in band where a
key frame lacks them.
"""

from collections.abc import Callable

from ninjacam.core.bitstream import (
    START_CODE,
    SpsInfo,
    is_recovery_point,
    is_vcl,
    iter_nal_units,
    nal_type,
    parameter_set_id,
    parse_sps,
)
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.sources.base import SourceStats
from ninjacam.sources.track_clock import TrackClock

MAX_ACCESS_UNIT_BYTES = 8 << 20
MAX_PARAMETER_SETS = 64
MAX_NAL_UNITS = 2_048
MAX_PREFACE_UNITS = 32
"""NAL units that may come before a picture with timestamps or markers of their own."""
_SETS = {Codec.H264: {7: 1, 8: 2}, Codec.H265: {32: 0, 33: 1, 34: 2}}
"""NAL type -> its place in the order VPS, SPS, PPS."""

Emit = Callable[[Packet], None]


class ParameterSetCache:
    """The parameter sets in force, by type and id: from the SDP first, then from the stream."""

    def __init__(self, codec: Codec, annexb: bytes = b"") -> None:
        self._codec = codec
        self.order = _SETS[codec]
        self._sets: dict[tuple[int, int], bytes] = {}
        self.info: SpsInfo | None = None
        self.changed = True
        for start, stop in iter_nal_units(annexb):
            if nal_type(codec, annexb[start]) in self.order:
                self.add(annexb[start:stop])

    def add(self, nal: bytes) -> None:
        """Remember a parameter set; a malformed one is ignored."""
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


class AccessUnits:
    """Collects NAL units into packets. Subclasses read one RTP payload format each; demuxers call `push_unit`."""

    def __init__(
        self, codec: Codec, sets: ParameterSetCache, emit: Emit, stats: SourceStats, clock: TrackClock
    ) -> None:
        self._codec = codec
        self._clock = clock
        self._sets = sets
        self._emit = emit
        self._stats = stats
        self._unit = bytearray()
        self._starts: list[int] = []
        self._pts = -1
        self.following = b""
        """The head of the next fragment of the NAL unit that is being put together; empty: there is none."""
        self._damaged = False
        self._head_lost = False
        self._missing = True
        self._started = False
        self._closed_pts = -1
        self._ignore_marker = False
        self._received_ns = 0

    def push_unit(self, annexb: bytes, pts: int, received_ns: int) -> None:
        """Take a whole access unit: from demuxers that know where one ends."""
        self._pts = pts
        self._closed_pts = -1
        for start, stop in iter_nal_units(annexb):
            self._begin()
            self._unit += annexb[start:stop]
        if self._unit:
            self._close(received_ns)

    def extend(self, bodies: list[bytes]) -> None:
        """More of the NAL unit that is being put together."""
        self._unit += b"".join(bodies)

    def gap(self) -> None:
        """Something before the next packet is missing."""
        if self._unit:
            self._damaged = True
        self._head_lost = self._missing = True
        self.following = b""

    def _begin(self) -> None:
        """A NAL unit starts here, at the end of the unit so far."""
        unit = self._unit
        if len(self._starts) >= MAX_NAL_UNITS:
            self._overflow()
        self._starts.append(len(unit) + 4)
        unit += START_CODE

    def _turn(self, pts: int) -> None:
        """The timestamp has changed: what is open belongs to the picture before (unless it is only its preface)."""
        starts = self._starts
        too_many = len(starts) > MAX_PREFACE_UNITS  # looked at again at each timestamp, so it stays short
        if self._unit and (self._damaged or too_many or any(map(self._is_picture, starts))):
            head_lost = (
                self._head_lost
            )  # a gap before this packet may have taken the next picture's head, too
            self._close(self._received_ns)
            self._head_lost = head_lost
        self._pts = pts

    def _is_picture(self, start: int) -> bool:
        return start < len(self._unit) and is_vcl(self._codec, nal_type(self._codec, self._unit[start]))

    def _overflow(self) -> None:
        """More than a picture can be: throw it away and wait for the next."""
        del self._unit[4:]
        del self._starts[1:]
        self._damaged = True

    def _end(self, received_ns: int) -> None:
        """The marker bit was set."""
        if not self._ignore_marker:
            self._close(received_ns)

    def _close(self, received_ns: int) -> None:
        """Emit the access unit, or drop it."""
        unit, starts = self._unit, self._starts
        codec = self._codec
        is_h264 = codec is Codec.H264
        places = self._sets.order
        key = recovery = False
        picture = -1
        found = 0
        last = len(starts) - 1
        for index, start in enumerate(starts):
            if start >= len(unit):
                continue
            kind = unit[start] & 0x1F if is_h264 else unit[start] >> 1 & 0x3F
            if is_vcl(codec, kind):
                if picture < 0:
                    picture = start
                    key = kind == 5 if is_h264 else 16 <= kind <= 21
            elif kind in places:
                stop = starts[index + 1] - 4 if index < last else len(unit)
                self._sets.add(bytes(unit[start:stop]))
                found |= 1 << places[kind]
            elif kind == 6 and is_h264:
                recovery = recovery or is_recovery_point(bytes(unit[start : start + 3]))
        if picture < 0 and not self._damaged:
            if last < MAX_PREFACE_UNITS:
                return  # parameter sets alone with a marker of their own: the preface of the next picture
            self._damaged = True
        self._check_head(picture)
        damaged, pts = self._damaged, self._pts
        if damaged:
            self._stats.access_units_dropped += 1
            self._missing = True
        elif key or (recovery and found & 2):
            self._finish(bytes(unit), pts, received_ns, found, key=True)
        elif self._started:
            self._finish(bytes(unit), pts, received_ns, found, key=False)
        unit.clear()
        starts.clear()
        self._closed_pts = pts
        self._damaged = self._head_lost = False
        self.following = b""

    def _check_head(self, picture: int) -> None:
        """Whether the first slice is there. A camera that sets the marker on every slice is found out here."""
        at = picture + (1 if self._codec is Codec.H264 else 2)
        is_first = picture >= 0 and at < len(self._unit) and self._unit[at] & 0x80
        if is_first:
            return
        if self._head_lost:
            self._damaged = True
        elif picture >= 0 and self._pts == self._closed_pts:
            self._damaged = self._ignore_marker = True

    def _finish(self, data: bytes, pts: int, received_ns: int, found: int, *, key: bool) -> None:
        flags = Flags.NONE
        if key:
            if not self._sets.complete:
                return
            wanted = 6 if self._codec is Codec.H264 else 7
            if found != wanted:
                data = self._insert_sets(data)
            flags = Flags.KEY
            if self._sets.changed:
                flags |= Flags.CONFIG
                self._sets.changed = False
        if self._missing:
            if self._started:
                flags |= Flags.DISCONT
            self._missing = False
        self._started = True
        info = self._sets.info
        assert info is not None
        self._emit(
            Packet(
                Kind.VIDEO,
                self._codec,
                data,
                pts,
                received_ns,
                flags=flags,
                captured_ns=self._clock.captured_ns(pts),
                width_px=info.width_px,
                height_px=info.height_px,
            )
        )

    def _insert_sets(self, data: bytes) -> bytes:
        """The remembered parameter sets before the rest, but after an access unit delimiter."""
        first = self._starts[0]
        if nal_type(self._codec, data[first]) == (9 if self._codec is Codec.H264 else 35):
            cut = self._starts[1] - 4 if len(self._starts) > 1 else len(data)
            return data[:cut] + self._sets.annexb() + data[cut:]
        return self._sets.annexb() + data
