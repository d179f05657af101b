"""Builds the contents of one recorded file from packets, in pieces. No I/O.

Times in the file start at 0 with the first frame's decoding time and follow the camera's repaired clock.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ninjacam.codecs.bitstream import ParameterSets, iter_nal_units, nal_type, parameter_sets, parse_sps
from ninjacam.containers.mp4 import (
    Mp4Track,
    Run,
    Sample,
    encode_emsg,
    encode_header,
    encode_moof,
    encode_prft,
    jpeg_entry,
    video_entry,
)
from ninjacam.core.annotations import at_time
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Flags, Packet
from ninjacam.recordings.audio import AUDIO_TRACK, AacFrame, Sound

VIDEO_TRACK = 1
DEFAULT_TICKS = VIDEO_CLOCK_HZ // 25
CLOCK_STEP_NS = 1_000_000_000
"""If the wall clock differs from the file's time by more than this, it was set: the next file uses the new time."""
AUDIO_JITTER_S = 0.1
"""Audio with a smaller deviation is considered continuous."""
AUDIO_EARLY_S = 0.1
"""Audio up to this long before the first frame is moved to it; older audio is discarded."""

_SETS = {Codec.H264: frozenset((7, 8)), Codec.H265: frozenset((32, 33, 34))}


def dts_of(packet: Packet) -> int:
    return packet.pts - packet.dts_offset


class Written(NamedTuple):
    """A fragment's bytes, and its metadata for the index."""

    data: bytes
    start_ns: int
    end_ns: int


class FragmentClock:
    """The capture times of recent frames as stored in their files, so that annotations match their frame even if the
    wall clock was set within a fragment."""

    def __init__(self) -> None:
        # (pts, wall clock in ns) of the first frames of fragments.
        self._starts: deque[tuple[int, int]] = deque(maxlen=8)

    def begin(self, pts: int, start_ns: int) -> None:
        self._starts.append((pts, start_ns))

    def captured_ns(self, pts: int) -> int:
        earlier = (start for start in reversed(self._starts) if start[0] <= pts)
        first_pts, start_ns = next(earlier, self._starts[0])
        return start_ns + (pts - first_pts) * 1_000_000_000 // VIDEO_CLOCK_HZ


class FileContents:
    """Builds the bytes of one file, in order: `header`, then the result of each `add`. Thread: one.

    `first`: the key frame at its start. `clock`: the camera's, which continues across files. Raises: EncodeError,
    DecodeError: the packets cannot be stored in a file.
    """

    def __init__(self, first: Packet, sound: Sound | None, clock: FragmentClock | None = None) -> None:
        self.codec = first.codec
        self.first = first
        self.sound = sound
        self._clock = clock or FragmentClock()
        self.clock_stepped = False
        """Whether the wall clock was set, so that a new file should begin."""
        self._sets = ParameterSets()
        self._known: frozenset[bytes] = frozenset()
        if first.codec is Codec.MJPEG:
            self.width_px, self.height_px = first.width_px, first.height_px
            if not (self.width_px and self.height_px):
                raise EncodeError("The camera's frame has no size.")
            entry = jpeg_entry(self.width_px, self.height_px)
        else:
            self._sets = parameter_sets(first.codec, first.data)
            if not self._sets:
                raise EncodeError("The camera's key frame has no parameter sets.")
            info = parse_sps(first.codec, self._sets.sps[0])
            self.width_px, self.height_px = info.width_px, info.height_px
            entry = video_entry(first.codec, self._sets, info)
            self._known = frozenset(self._sets.vps + self._sets.sps + self._sets.pps)
        tracks = [Mp4Track(VIDEO_TRACK, VIDEO_CLOCK_HZ, entry, self.width_px, self.height_px)]
        if sound is not None:
            tracks.append(sound.track)
        self.header = encode_header(tracks)
        self._dts0 = dts_of(first)
        self._next_dts = 0
        self._sequence = 0
        self._audio_shift: int | None = None
        self._audio_end = 0

    def fits(self, key: Packet) -> bool:
        """Return whether this file's header allows decoding of a key frame. Only CONFIG can change that."""
        if key.codec is not self.codec:
            return False
        if not key.flags & Flags.CONFIG:
            return True
        if key.codec is Codec.MJPEG:
            return (key.width_px, key.height_px) == (self.width_px, self.height_px)
        return parameter_sets(key.codec, key.data) == self._sets

    def age_s(self, dts: int) -> float:
        return (dts - self._dts0) / VIDEO_CLOCK_HZ

    def add(
        self,
        video: Sequence[Packet],
        units: Sequence[AacFrame],
        end_dts: int | None,
        annotations: Sequence[tuple[int, bytes]] = (),
    ) -> Written | None:
        """Return one fragment; None if it is empty. `video`: frames in decoding order. `end_dts`: decoding time of
        the following frame, None if unknown. `annotations`: as in a `Job`."""
        frames = [(packet, *self._sample_data(packet)) for packet in video]
        frames = [entry for entry in frames if entry[2]]
        if not frames:
            return None
        times = [max(dts_of(packet) - self._dts0, self._next_dts) for packet, *_ in frames]
        for at in range(1, len(times)):
            times[at] = max(times[at], times[at - 1] + 1)
        last = frames[-1][0]
        end = times[-1] + (last.duration or DEFAULT_TICKS)
        if end_dts is not None:
            end = max(end_dts - self._dts0, times[-1] + 1)
        self._next_dts = end
        samples = [
            Sample(size_bytes, following - dts, packet.is_key, packet.pts - self._dts0 - dts)
            for (packet, _, size_bytes), dts, following in zip(frames, times, [*times[1:], end], strict=True)
        ]
        first = frames[0][0]
        start_ns = self._start_ns(first)
        run, audio_parts = self._audio(units)
        self._sequence += 1
        parts: list[bytes | memoryview] = [
            encode_prft(VIDEO_TRACK, start_ns, first.pts - self._dts0),
            encode_moof(self._sequence, Run(VIDEO_TRACK, times[0], samples), run),
        ]
        for _, pieces, _ in frames:
            parts += pieces
        parts += audio_parts
        self._clock.begin(first.pts, start_ns)
        if annotations:
            lines = b"\n".join(at_time(line, self._clock.captured_ns(pts)) for pts, line in annotations)
            parts.append(encode_emsg(self._sequence, VIDEO_CLOCK_HZ, first.pts - self._dts0, lines))
        end_ns = start_ns + (end - times[0]) * 1_000_000_000 // VIDEO_CLOCK_HZ
        return Written(b"".join(parts), start_ns, end_ns)

    def _start_ns(self, packet: Packet) -> int:
        expected_ns = self.first.captured_ns + (packet.pts - self.first.pts) * 1_000_000_000 // VIDEO_CLOCK_HZ
        if abs(packet.captured_ns - expected_ns) <= CLOCK_STEP_NS:
            return packet.captured_ns
        self.clock_stepped = True
        return expected_ns

    def _sample_data(self, packet: Packet) -> tuple[list[bytes | memoryview], int]:
        """Return the NAL units with four-byte lengths as views, without the parameter sets in the header, and their
        size in bytes."""
        data = packet.data
        if self.codec is Codec.MJPEG:
            return [data], len(data)
        view = memoryview(data)
        pieces: list[bytes | memoryview] = []
        size_bytes = 0
        sets = _SETS[self.codec]
        for start, stop in iter_nal_units(data):
            if nal_type(self.codec, data[start]) in sets and data[start:stop] in self._known:
                continue
            pieces.append((stop - start).to_bytes(4, "big"))
            pieces.append(view[start:stop])
            size_bytes += 4 + stop - start
        return pieces, size_bytes

    def _audio(self, units: Sequence[AacFrame]) -> tuple[Run | None, list[bytes]]:
        if self.sound is None:
            return None, []
        hz = self.sound.track.time_base_hz
        samples: list[Sample] = []
        parts: list[bytes] = []
        start = self._audio_end
        for unit in units:
            at = self._audio_time(unit, hz)
            if at is None or not unit.data:
                continue
            if not samples:
                start = at
            elif at > self._audio_end:
                samples[-1] = samples[-1]._replace(duration=samples[-1].duration + at - self._audio_end)
            samples.append(Sample(len(unit.data), unit.duration))
            parts.append(unit.data)
            self._audio_end = at + unit.duration
        return (Run(AUDIO_TRACK, start, samples) if samples else None), parts

    def _audio_time(self, unit: AacFrame, hz: int) -> int | None:
        """Return the decoding time in the file; None: before the file. Audio follows its own clock, and its capture
        time after gaps.
        """
        if self._audio_shift is not None:
            at = unit.pts + self._audio_shift
            if abs(at - self._audio_end) <= AUDIO_JITTER_S * hz:
                self._audio_shift += self._audio_end - at
                return self._audio_end
        offset_ns = self.first.dts_offset * 1_000_000_000 // VIDEO_CLOCK_HZ
        at = (unit.captured_ns - self.first.captured_ns + offset_ns) * hz // 1_000_000_000
        if at < -AUDIO_EARLY_S * hz:
            return None
        at = max(at, self._audio_end)
        self._audio_shift = at - unit.pts
        return at
