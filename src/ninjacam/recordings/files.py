"""Creates, extends and closes the files of one camera, and reports them to the index. Thread: the writer's."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import DiskFullError, EncodeError, NinjacamError, RecordingError
from ninjacam.core.packets import Codec, Kind, Packet, Track
from ninjacam.recordings.audio import AacFrame, Sound, make_sound
from ninjacam.recordings.camera_directory import CameraDirectory
from ninjacam.recordings.cutter import Job
from ninjacam.recordings.fragments import FileContents, FragmentClock, Written, dts_of
from ninjacam.recordings.layout import create_segment
from ninjacam.recordings.segments import SegmentInfo

logger = logging.getLogger("ninjacam.recordings")

SILENT_S = 5.0
"""Seconds without audio after which a file with an audio track is closed, because players wait for audio."""
RETRY_S = 1.0
"""Seconds between a failure and the next attempt to create a file."""


class CameraFiles:
    """The files of one camera, of which at most one is open. `period_s`: a new one begins at the first key frame
    after it.

    `on_segment`: receives each file whenever it has grown or ended. `on_grown(file, is_new)`: syncs it to the disk.
    """

    def __init__(
        self,
        root: Path,
        slug: str,
        on_segment: Callable[[SegmentInfo], None],
        *,
        period_s: float,
        on_grown: Callable[[Path, bool], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.slug = slug
        self.error: NinjacamError | None = None
        self.size_bytes = 0
        """Bytes written since the start."""
        self.failures = 0
        self._root = root
        self._on_segment = on_segment
        self._period_s = period_s
        self._on_grown = on_grown
        self._clock = clock
        self._retry_ns = 0
        self._descriptor = -1
        self._directory = CameraDirectory(root, slug, clock)
        self._contents: FileContents | None = None
        self._segment: SegmentInfo | None = None
        self._good_bytes = 0
        self._path = ""
        self._sound_track: Track | None = None
        self._sound: Sound | None = None
        self._silent_s = 0.0
        self._fragment_clock = FragmentClock()

    @property
    def is_open(self) -> bool:
        return self._contents is not None

    def write(self, job: Job) -> None:
        """Write a fragment. Never raises for camera data or disk errors; `error` reports them."""
        video = [packet for packet in job.packets if packet.kind is Kind.VIDEO]
        units = self._units(job)
        first = video[0]
        heard = self._sound is not None and len(video) < len(job.packets)
        if self._contents is not None and (job.after_gap or self._must_end(first, heard)):
            self.end()
        try:
            if self._contents is None:
                if not first.is_key or self._clock.monotonic_ns() < self._retry_ns:
                    return
                self._begin(first, self._sound if heard else None)
            self._write_fragment(job, video, units)
        except NinjacamError as exc:
            self._failed(exc)
        except OSError as exc:
            self._failed(self._stopped(exc))

    def _write_fragment(self, job: Job, video: list[Packet], units: list[AacFrame]) -> None:
        """Raises: NinjacamError, OSError."""
        contents = self._contents
        assert contents is not None
        if job.end_dts is None or (job.before_key and contents.age_s(job.end_dts) >= self._period_s):
            units += self._drained()
        written = contents.add(video, units, job.end_dts, job.annotations)
        if written is not None:
            self._append(written)
            self._report_recovered()

    def end(self) -> None:
        """Close the file, which is already complete. Idempotent."""
        self._contents = None
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
        segment, self._segment = self._segment, None
        if segment is not None:
            self._on_segment(_closed(segment))
        elif self._path:
            with contextlib.suppress(OSError):
                (self._root / self._path).unlink()
        self._path = ""

    def pause(self) -> None:
        """Close the file like `end`, but discard the encoder's buffered audio, because a gap follows."""
        self.end()
        self._sound = self._sound_track = None

    def _must_end(self, first: Packet, has_sound: bool) -> bool:
        """Return whether a new file begins with `first`; only a key frame can begin one."""
        contents = self._contents
        assert contents is not None
        self._silent_s = 0.0 if has_sound else self._silent_s + 1
        if not first.is_key:
            return False
        return (
            contents.age_s(dts_of(first)) >= self._period_s
            or contents.clock_stepped
            or not contents.fits(first)
            or (has_sound and contents.sound is not self._sound)
            or (contents.sound is not None and self._silent_s >= SILENT_S)
        )

    def _begin(self, first: Packet, sound: Sound | None) -> None:
        contents = FileContents(first, sound, self._fragment_clock)
        self._path, self._descriptor = create_segment(self._directory.open(), self.slug, first.captured_ns)
        self._good_bytes = 0
        self._silent_s = 0.0
        self._contents = contents
        self._write_all(contents.header)

    def _stopped(self, error: OSError) -> RecordingError:
        stopped = f"Recording of {self.slug} has stopped"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFullError(
                f"{stopped}: The disk is full. Free some space or set a budget; recording then resumes by itself."
            )
        return RecordingError(
            f"{stopped}: {error.strerror}. Check the disk; recording then resumes by itself."
        )

    def close(self) -> None:
        """Idempotent."""
        self._directory.close()

    def _append(self, written: Written) -> None:
        contents = self._contents
        assert contents is not None
        self._write_all(written.data)
        self._good_bytes = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        self._on_grown(self._root / self._path, self._segment is None)
        sound = contents.sound
        self._segment = SegmentInfo(
            slug=self.slug,
            path=self._path,
            start_ns=self._segment.start_ns if self._segment else written.start_ns,
            end_ns=written.end_ns,
            size_bytes=self._good_bytes,
            codec=contents.codec.label,
            width_px=contents.width_px,
            height_px=contents.height_px,
            audio_codec=Codec.AAC.label if sound else "",
            audio_source=sound.source if sound and sound.source != Codec.AAC.label else "",
            open=True,
        )
        self._on_segment(self._segment)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.write(self._descriptor, view)
            self.size_bytes += count
            view = view[count:]

    def _failed(self, error: NinjacamError) -> None:
        self.failures += 1
        if self.error is None or str(self.error) != str(error):
            logger.error("%s", error)
        self.error = error
        self._retry_ns = self._clock.monotonic_ns() + int(RETRY_S * 1e9)
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                # The file ends with its last complete fragment.
                os.ftruncate(self._descriptor, self._good_bytes)
        self.end()

    def _report_recovered(self) -> None:
        if self.error is not None:
            logger.warning("%s: recording resumed", self.slug)
            self.error = None

    def _units(self, job: Job) -> list[AacFrame]:
        if job.sound is not self._sound_track and job.sound != self._sound_track:
            self._sound = make_sound(job.sound)
        self._sound_track = job.sound
        if self._sound is None:
            return []
        sound, units = self._sound, list[AacFrame]()
        try:
            for packet in job.packets:
                if packet.kind is Kind.AUDIO:
                    units += sound.feed(packet)
        except EncodeError as exc:
            self._without_sound(exc)
        return units

    def _drained(self) -> list[AacFrame]:
        """Return the encoder's buffered audio, because the file ends with this fragment."""
        try:
            return self._sound.drain() if self._sound is not None else []
        except EncodeError as exc:
            self._without_sound(exc)
            return []

    def _without_sound(self, error: EncodeError) -> None:
        logger.warning("%s: recording without audio: %s", self.slug, error)
        self._sound = None


def _closed(segment: SegmentInfo) -> SegmentInfo:
    return SegmentInfo(**{**segment.as_dict(), "open": False})
