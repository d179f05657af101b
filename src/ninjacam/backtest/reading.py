"""Decodes a video in the order and with the attention of a live camera, ahead of user code, in a thread of its own.

The thread does what `vision.decoding` does: packets pass the motion gate, and the frames are examined for motion if a
processor waits for that. So a processor with `when="motion"` receives the same frames as live, and a still scene costs
as little.
"""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from ninjacam.backtest.video import VideoPacket, VideoPart, iter_packets
from ninjacam.core.frames import Area
from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.core.zones import Zones
from ninjacam.vision.attention import Attention
from ninjacam.vision.images import DecodedFrame

MAX_AHEAD = 8
"""Maximum number of decoded frames that wait for user code."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """`number`: counts the decoded frames of a part, from 0. `motion`: what moves, if a processor waits for that.
    `is_awake`: whether such processors receive this frame. `is_warm_up`: before the span that counts.
    """

    frame: av.VideoFrame
    number: int
    captured_ns: int
    pts_s: float
    motion: tuple[Area, ...] = ()
    is_awake: bool = True
    is_warm_up: bool = False


def iter_frames(
    part: VideoPart, *, examines: bool = False, skips_still: bool = False, zones: Zones | None = None
) -> Generator[RecordedFrame, None, None]:
    """Yield the frames of `part`. `examines`: for motion. `skips_still`: frames of a still scene are not decoded.
    `zones`: of the camera: motion in masks does not count.

    Raises: DecodeError: the file has no video.
    """
    return _Reading(part, zones, examines=examines, skips_still=skips_still).run()


class _Reading:
    def __init__(self, part: VideoPart, zones: Zones | None, *, examines: bool, skips_still: bool) -> None:
        self._part = part
        self._zones = zones
        self._attention = Attention() if examines else None
        if self._attention is not None:
            self._attention.gate.is_used = skips_still
        self._held: dict[int, VideoPacket] = {}
        self._sequence = 0
        self._number = 0
        self._is_over = False
        self._reformatter, self._scaler = VideoReformatter(), VideoReformatter()

    def run(self) -> Generator[RecordedFrame, None, None]:
        context: Any = None
        last: VideoPacket | None = None
        for each in iter_packets(self._part):
            if last is not None and each.context is not context:
                yield from self._show(last, _decode(last, None))  # The last frames of the previous file.
            last, context = each, each.context
            if not each.packet.size:
                yield from self._show(each, _decode(each, None))
                last = None
                continue
            passed = self._pass_gate(each)
            for one in passed:
                frames = _decode(one, one.packet)
                if one is passed[-1]:
                    # As live: when the gate opens, or the decoder catches up, only the newest frame is shown.
                    yield from self._show(one, frames[-1:])
            if self._is_over:
                return

    def _pass_gate(self, each: VideoPacket) -> list[VideoPacket]:
        """Return the packets to decode now. Those of files without times all pass."""
        packet, self._sequence = each.packet, self._sequence + 1
        if self._attention is None or packet.pts is None:
            return [each]
        if packet.is_keyframe:
            self._held.clear()
        self._held[self._sequence] = each
        captured_ns = each.captured_ns(packet.pts)
        flags = Flags.KEY if packet.is_keyframe else Flags.NONE
        taken = self._attention.gate.take(
            Packet(
                Kind.VIDEO, Codec.NONE, bytes(packet), 0, captured_ns, flags=flags, sequence=self._sequence
            )
        )
        return [self._held.pop(one.sequence) for one in taken]

    def _show(self, source: VideoPacket, frames: list[av.VideoFrame]) -> Iterator[RecordedFrame]:
        """Yield those of the frames that are within the part."""
        part = self._part
        for frame in frames:
            captured_ns = source.captured_ns(frame.pts)
            if part.end_ns and captured_ns >= part.end_ns:
                self._is_over = True
                return
            if captured_ns >= (part.warm_up_ns or part.start_ns):
                yield self._examined(self._scaled(frame), captured_ns, source.pts_s(frame.pts))

    def _scaled(self, frame: av.VideoFrame) -> av.VideoFrame:
        width = self._part.width_px & ~1
        if not width or width >= frame.width:
            return frame
        return self._scaler.reformat(frame, width, max(2, round(frame.height * width / frame.width / 2) * 2))

    def _examined(self, frame: av.VideoFrame, captured_ns: int, pts_s: float) -> RecordedFrame:
        number, self._number = self._number, self._number + 1
        is_warm_up = captured_ns < self._part.start_ns
        attention = self._attention
        if attention is None:
            return RecordedFrame(frame, number, captured_ns, pts_s, is_warm_up=is_warm_up)
        attention.look(DecodedFrame(frame, self._reformatter), captured_ns, self._zones)
        return RecordedFrame(
            frame, number, captured_ns, pts_s, attention.areas, attention.is_awake, is_warm_up
        )


def _decode(source: VideoPacket, packet: Any) -> list[av.VideoFrame]:
    """Return the frames that come out; None: those that the decoder holds back."""
    try:
        frames: list[av.VideoFrame] = source.context.decode(packet)
    except (av.FFmpegError, ValueError):
        return []  # Damaged; the next one may work.
    return frames


class ReadAhead:
    """Runs `frames` in a thread, up to MAX_AHEAD frames ahead. Iterate once; `close` ends the thread."""

    def __init__(self, frames: Generator[RecordedFrame, None, None]) -> None:
        self._frames = frames
        self._queue: queue.Queue[RecordedFrame | BaseException | None] = queue.Queue(MAX_AHEAD)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backtest-decoder", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[RecordedFrame]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Idempotent."""
        self._is_closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            for frame in self._frames:
                if not self._put(frame):
                    break
        except BaseException as exc:  # It is raised in the thread that iterates.
            last = exc
        finally:
            self._frames.close()
        self._put(last)

    def _put(self, item: RecordedFrame | BaseException | None) -> bool:
        while not self._is_closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
