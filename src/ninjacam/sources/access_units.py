"""Assembles H.264 and H.265 access units from NAL units, for all kinds of sources.

A picture ends where the next one begins: at another timestamp, or at a first slice. The RTP marker bit marks the end
earlier, but many cameras set it incorrectly, so it is trusted only after it was correct (`MarkerTrust`). A picture
is dropped only if packets are missing; the next one then has DISCONT. Parameter sets are cached, and inserted before
key frames that lack them.
"""

from dataclasses import dataclass

from ninjacam.codecs.bitstream import (
    START_CODE,
    field_of,
    is_vcl,
    iter_nal_units,
    nal_type,
    recovery_count,
)
from ninjacam.core.packets import Codec
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import PLACES, ParameterSetCache
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import AccessUnit, Emit, UnitDelivery

MAX_ACCESS_UNIT_BYTES = 8 << 20
MAX_NAL_UNITS = 2_048
MAX_PREFACE_UNITS = 32
"""Maximum number of NAL units that may precede a picture with their own timestamps or markers."""
MAX_SEI_BYTES = 512
SETTLE_NS = 1_000_000_000
"""Nanoseconds without data after which a picture with an untrusted marker is considered complete."""
EMBEDDED = 63
"""Pseudo-type of a NAL unit that contains others with start codes."""
_SETS_BIT, _SEI_BIT = 1, 2
_SEI = {Codec.H264: 6, Codec.H265: 39}
_PREFACE = {
    Codec.H264: frozenset({6, 7, 8, 9, 13, 14, 15, 16, 17, 18}),
    Codec.H265: frozenset({32, 33, 34, 35, 39, *range(41, 45), *range(48, 56)}),
}
"""NAL types that begin an access unit when they follow a picture (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4)."""


class MarkerTrust:
    """Learns from later packets whether a stream's marker bits mark the ends of its pictures.

    Each kind of picture end (see `AccessUnits._marker_kind`) is trusted after it was right once, and never again
    after it was wrong once. If it was wrong where a NAL unit was complete, this counts for all kinds: the camera
    sets the marker on each slice.
    """

    __slots__ = ("_verdicts", "pending")

    OPEN = 1
    """Bit of a kind: the last fragment has no end bit."""

    def __init__(self) -> None:
        self._verdicts = [0, 0, 0, 0]
        self.pending = -1
        """The kind of the marker that the next packet verifies; -1: none."""

    def believes(self, kind: int) -> bool:
        """Return whether the picture can be closed now. If False, the next packet decides."""
        verdict = self._verdicts[kind]
        if not verdict:
            self.pending = kind
        return verdict > 0

    def confirm(self) -> None:
        """The picture ended at the pending marker."""
        if self.pending >= 0 and not self._verdicts[self.pending]:
            self._verdicts[self.pending] = 1
        self.pending = -1

    def disprove(self, kind: int) -> None:
        """The picture continued after a marker of this kind."""
        for index in range(4):
            if not kind & self.OPEN or index & self.OPEN:
                self._verdicts[index] = -1
        self.pending = -1


class _Rules:
    """The NAL unit types of a codec."""

    __slots__ = ("codec", "is_h264", "other_bits", "preface", "sei")

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.is_h264 = codec is Codec.H264
        self.preface = _PREFACE[codec]
        self.sei = _SEI[codec]
        self.other_bits = dict.fromkeys((*PLACES[codec], EMBEDDED), _SETS_BIT) | {self.sei: _SEI_BIT}

    def is_slice(self, kind: int) -> bool:
        return 0 < kind < 6 if self.is_h264 else kind < 32

    def has_header(self, kind: int) -> bool:
        """Return whether a slice has a slice header. Partitions B and C of H.264 have none."""
        return not (self.is_h264 and 2 < kind < 5)

    def is_key(self, kind: int) -> bool:
        """Return whether a slice belongs to a picture at which a decoder can start."""
        return kind == 5 if self.is_h264 else 15 < kind < 22


@dataclass(slots=True)
class _Found:
    """The state of the access unit that is being assembled."""

    has_slice: bool = False
    has_first: bool = False
    is_key: bool = False
    other: int = 0
    """_SETS_BIT, _SEI_BIT: NAL units other than slices."""
    field: tuple[int, int] | None = None
    is_damaged: bool = False


class AccessUnits:
    """Collects NAL units into packets. Subclasses parse one RTP payload format each; demuxers call `push_unit`.

    A subclass calls `_stamp` with each packet's timestamp, `_begin` where a NAL unit begins, `_resume` where one
    continues, and `_end` at the marker.
    """

    def __init__(
        self, codec: Codec, sets: ParameterSetCache, emit: Emit, stats: SourceStats, clock: TrackClock
    ) -> None:
        self._rules = _Rules(codec)
        self._sets = sets
        self._delivery = UnitDelivery(codec, sets, emit, stats, clock)
        self._stats = stats
        self._trust = MarkerTrust()
        # The current access unit.
        self._unit = bytearray()
        self._starts: list[int] = []
        self._kinds: list[int] = []
        self._pts = -1
        self._found = _Found()
        # The packets.
        self._last_pts = -1
        self._turned = False
        self._unsettled = False
        """Whether the beginning of the next NAL unit decides if the picture has ended, or if a marker was right.
        """
        self.following = b""
        """The head of the next fragment of the current NAL unit; empty: none."""
        self._resumable = False
        self._owes_start = False
        """A fragment without data announced a NAL unit: the next fragment contains its beginning."""
        self._gap = True
        """Data before the next NAL unit is missing. Initially set: earlier data was not received."""
        self._head_lost = False
        self.received_ns = 0
        # The stream so far.
        self._closed = (-1, 0)
        """Time of the last access unit, and the kind of its marker."""

    def push_unit(self, annexb: bytes, pts: int, received_ns: int) -> None:
        """Add a whole access unit, from demuxers that determine its end."""
        self._pts = pts
        self._closed = (-1, 0)
        self.received_ns = received_ns
        for start, stop in iter_nal_units(annexb):
            if len(self._starts) >= MAX_NAL_UNITS:
                self._overflow()
            self._append(nal_type(self._rules.codec, annexb[start]))
            self._unit += annexb[start:stop]
        self._classify()
        if self._found.has_slice or len(self._starts) > MAX_PREFACE_UNITS:
            self._close()

    def settle(self, now_ns: int) -> None:
        """Deliver the pending picture if no data has followed it for some time."""
        if self._trust.pending >= 0 and now_ns - self.received_ns > SETTLE_NS:
            self._close()

    def extend(self, bodies: list[bytes]) -> None:
        """Add more data of the current NAL unit."""
        self._unit += b"".join(bodies)
        if len(self._unit) > MAX_ACCESS_UNIT_BYTES:
            self._overflow()

    def gap(self) -> None:
        """Mark a loss before the next packet."""
        if self._unit:
            self._found.is_damaged = True
        self._gap = self._delivery.missing = True
        self._resumable = self._owes_start = False
        self.following = b""
        self._trust.pending = -1

    def take_extension(self, profile: int, data: bytes) -> None:
        """See `rtsp.rtp.Depacketizer`."""

    def restart(self) -> None:
        """Accept a restart of the sequence numbers. No data is missing."""
        self._delivery.missing = True

    # Interface for subclasses -----------------------------------------------------------------------------------

    def _stamp(self, pts: int) -> None:
        """Handle a new timestamp. The start of the packet decides whether a new picture begins."""
        self._last_pts = pts
        self._turned = self._unsettled = True

    def _begin(self, kind: int, data: memoryview, at: int, stop: int) -> None:
        """Begin a NAL unit of this type. The received part of its payload is data[at:stop]."""
        unit, found = self._unit, self._found
        is_slice = self._rules.is_slice(kind)
        is_first = is_slice and at < stop and data[at] > 127 and self._rules.has_header(kind)
        if self._unsettled or (is_first and found.has_first):
            self._settle_turn(is_slice, is_first, bytes(data[at : min(stop, at + 32)]))
            found = self._found
        if self._gap:
            self._gap = False
            self._head_lost = not found.has_slice
        if len(self._starts) >= MAX_NAL_UNITS or len(unit) > MAX_ACCESS_UNIT_BYTES:
            self._overflow()
        if is_first and not found.has_first and found.other & _SETS_BIT:
            self._read_sets()  # They specify whether there may be fields.
        self._append(kind)
        if is_slice:
            self._note_slice(kind, is_first, data, at, stop)
        else:
            found.other |= self._rules.other_bits.get(kind, 0)

    def _settle_turn(self, is_slice: bool, is_first: bool, head: bytes) -> None:
        """Decide, from the NAL unit that begins now, whether the open picture has ended."""
        if self._unit:
            self._decide(is_slice, is_first, head)
            self._unsettled = self._trust.pending >= 0
        else:
            self._turned = self._unsettled = False
            self._pts = self._last_pts

    def _note_slice(self, kind: int, is_first: bool, data: memoryview, at: int, stop: int) -> None:
        found = self._found
        if not found.has_slice:
            found.has_slice = True
            found.is_key = self._rules.is_key(kind)
        if is_first:
            found.has_first = True
            info = self._sets.info
            if info is not None and info.may_have_fields and found.field is None:
                found.field = field_of(info, bytes(data[at : min(stop, at + 32)]))

    def _resume(self) -> bool:
        """Return whether a fragment that does not begin a NAL unit continues the last one."""
        if self.following or (self._resumable and not self._turned):
            self._turned = self._unsettled = False
            if self._trust.pending >= 0:
                self._trust.disprove(self._trust.pending)
            return True
        return False

    def _take_empty_fragment(self, bits: int) -> None:
        """Handle a fragment without data: its start and end bits still count."""
        if bits & 0x80:
            self._owes_start = True
            self.following = b""
        elif bits & 0x40 and self.following:
            self.following, self._resumable = b"", True

    def _cut_short(self, kind: int) -> None:
        """Handle a fragment of this type whose NAL unit has no beginning."""
        if self._turned and self._unit:
            self._close()
        self._turned = self._unsettled = False
        if not self._unit:
            if self._last_pts == self._closed[0] and not self._gap:
                self._trust.disprove(self._closed[1])
            self._pts = self._last_pts
            self._append(kind)
        self._gap = False
        self._found.has_slice = self._found.is_damaged = True

    def _end(self) -> None:
        """Handle a set marker bit."""
        if self._turned:
            return  # On a packet without data.
        if not self._found.has_slice and (not self._unit or not self._split_inner()):
            return  # Parameter sets with their own marker: the preface of the next picture.
        if self._found.field is not None and self._found.field[1] > 0:
            return  # The first field of a frame.
        if self._trust.believes(self._marker_kind()):
            self._close()
        self._unsettled = self._trust.pending >= 0

    # Where pictures end -----------------------------------------------------------------------------------------

    def _marker_kind(self) -> int:
        return self._found.is_key << 1 | (MarkerTrust.OPEN if self.following else 0)

    def _decide(self, is_slice: bool, is_first: bool, head: bytes) -> None:
        """Close the current picture if the new NAL unit belongs to the next one."""
        turned, self._turned = self._turned, False
        if not self._found.has_slice and (not turned or not self._unit or not self._split_inner()):
            if turned:
                self._begin_preface()
            return
        if not is_slice:
            if not turned:
                return  # A later slice decides.
        elif self._is_same_picture(turned, is_first, head):
            if self._trust.pending >= 0:
                self._trust.disprove(self._trust.pending)
            return
        self._trust.confirm()
        self._close()
        self._pts = self._last_pts

    def _is_same_picture(self, turned: bool, is_first: bool, head: bytes) -> bool:
        """Return whether a new slice belongs to the current picture."""
        if turned and self._found.is_damaged:
            return False
        if not is_first:
            # Some cameras timestamp each packet when they send it.
            return not turned or self._trust.pending < 0
        if not turned and not self._found.has_first:
            return True  # slices in any order
        info = self._sets.info
        if self._found.field is not None and self._found.field[1] > 0 and info is not None:
            other = field_of(info, head)
            if (
                other is not None
                and other[0] == self._found.field[0]
                and other[1] == 3 - self._found.field[1]
            ):
                self._found.field = (self._found.field[0], 0)
                return True
        return False

    def _begin_preface(self) -> None:
        """Handle another timestamp before any slice: the current data belongs to the picture that begins now."""
        if len(self._starts) > MAX_PREFACE_UNITS or (self._found.is_damaged and self._unit):
            self._found.is_damaged = True
            self._close()
        self._pts = self._last_pts
        self._trust.pending = -1

    def _append(self, kind: int) -> None:
        unit = self._unit
        self._starts.append(len(unit) + 4)
        self._kinds.append(kind)
        unit += START_CODE
        self._resumable = False

    def _overflow(self) -> None:
        """Discard data larger than any picture, and wait for the next picture."""
        del self._unit[4:]
        del self._starts[1:]
        del self._kinds[1:]
        self._found.is_damaged = True

    def _split_inner(self) -> bool:
        """Find NAL units inside other NAL units, separated by start codes (V380, Amatek). Return whether there are
        slices now."""
        data = bytes(self._unit)
        places = list(iter_nal_units(data))
        if [start for start, _ in places] == self._starts or len(places) > MAX_NAL_UNITS:
            return False
        self._unit.clear()
        self._starts.clear()
        self._kinds.clear()
        for start, stop in places:
            self._append(nal_type(self._rules.codec, data[start]))
            self._unit += data[start:stop]
        self._classify()
        return self._found.has_slice

    def _classify(self) -> None:
        """Set the state that `_begin` would have set, from the NAL units of the unit."""
        header = 1 if self._rules.is_h264 else 2
        found = self._found
        found.has_slice = found.has_first = found.is_key = False
        found.other = 0
        for start, kind in zip(self._starts, self._kinds, strict=True):
            if not is_vcl(self._rules.codec, kind):
                self._found.other |= self._rules.other_bits.get(kind, 0)
                continue
            if not self._found.has_slice:
                self._found.has_slice = True
                self._found.is_key = self._rules.is_key(kind)
            at = start + header
            if at < len(self._unit) and self._unit[at] > 127:
                self._found.has_first = True

    # Delivery ---------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Emit or drop the access unit. Keep the beginning of the next one."""
        kinds, unit = self._kinds, self._unit
        pts, kind = self._pts, self._marker_kind()
        rest = (
            self._cut_rest() if kinds and kinds[-1] in self._rules.preface and self._found.has_slice else None
        )
        if not self._found.has_first:
            self._check_head()
        if self._found.is_damaged or not self._found.has_slice:
            if unit:
                self._stats.access_units_dropped += 1
                self._delivery.missing = True
        else:
            self._deliver()
        unit.clear()
        self._starts, self._kinds = [], []
        self._found = _Found()
        self._closed = (pts, kind)
        self._head_lost = self._resumable = False
        self._trust.pending = -1
        self.following = b""
        if rest is not None:
            unit += rest[0]
            self._starts, self._kinds = rest[1:]
            self._found.other = _SETS_BIT | _SEI_BIT

    def _cut_rest(self) -> tuple[bytes, list[int], list[int]] | None:
        """Remove the data after the picture, which begins the next one. Return its (bytes, starts, types)."""
        kinds = self._kinds
        count = len(kinds)
        while count and kinds[count - 1] in self._rules.preface:
            count -= 1
        if not count:
            return None
        cut = self._starts[count] - 4
        rest = bytes(self._unit[cut:]), [start - cut for start in self._starts[count:]], kinds[count:]
        del self._unit[cut:], kinds[count:], self._starts[count:]
        return rest

    def _check_head(self) -> None:
        """Handle a missing first slice. This detects cameras that set the marker on each slice."""
        if self._head_lost:
            self._found.is_damaged = True
        elif self._pts == self._closed[0] and self._found.has_slice:
            self._found.is_damaged = True
            self._trust.disprove(self._closed[1])

    def _deliver(self) -> None:
        found = self._found
        sets = self._read_sets() if found.other & _SETS_BIT else 0
        recovery = self._read_recovery if found.other & _SEI_BIT else _no_recovery
        self._delivery.deliver(
            AccessUnit(
                self._unit, self._starts, self._kinds, self._pts, self.received_ns, sets,
                is_key=found.is_key, has_others=bool(found.other),
            ),
            recovery,
        )  # fmt: skip

    def _read_sets(self) -> int:
        """Cache the parameter sets in band. Return the bits of their places in `PLACES`."""
        places = self._sets.order
        if EMBEDDED in self._kinds or self._has_inner():
            self._split_inner()
        unit, starts = self._unit, self._starts
        found = 0
        last = len(starts) - 1
        for index, kind in enumerate(self._kinds):
            if kind in places:
                stop = starts[index + 1] - 4 if index < last else len(unit)
                nal = bytes(unit[starts[index] : stop]).rstrip(b"\x00")
                if nal:
                    self._sets.add(nal)
                    found |= 1 << places[kind]
        return found

    def _read_recovery(self) -> int:
        """Return the number of pictures until the output is correct if a decoder starts here; -1: no recovery point."""
        unit, starts = self._unit, self._starts
        for index, kind in enumerate(self._kinds):
            if kind == self._rules.sei:
                stop = starts[index + 1] - 4 if index + 1 < len(starts) else len(unit)
                data = bytes(unit[starts[index] : min(stop, starts[index] + MAX_SEI_BYTES)])
                count = recovery_count(self._rules.codec, data)
                if count >= 0:
                    return count
        return -1

    def _has_inner(self) -> bool:
        """Return whether a parameter set contains a start code."""
        unit, starts = self._unit, self._starts
        for index, kind in enumerate(self._kinds):
            if kind in self._sets.order:
                stop = starts[index + 1] - 4 if index + 1 < len(starts) else len(unit)
                if unit.find(b"\x00\x00\x01", starts[index], stop) >= 0:
                    return True
        return False


def _no_recovery() -> int:
    return -1
