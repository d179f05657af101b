"""Reads the frames of a running camera into another process, such as `ninjacam shell`."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import DecodeError, StreamUnavailableError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState, Kind, Packet, StreamInfo
from ninjacam.hub.client import RefusedError, StreamSubscription
from ninjacam.hub.request import StreamRequest
from ninjacam.vision.decoding import MAX_HELD_BACK
from ninjacam.vision.images import Decoder

FRESH_NS = 1_000_000_000
"""Maximum age of a frame to be returned at once. Older ones are of the stream's cache, which is decoded first."""
OLD_AFTER_S = 2.0
"""Seconds after which an older frame is returned: a camera may send one every few seconds."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """`frame`: an `av.VideoFrame`. `number`: counts the frames of this reader. Times as in `core.packets.Packet`."""

    frame: Any
    number: int
    captured_ns: int
    received_ns: int
    pts_s: float


class LiveFrames:
    """A reader of a camera's local stream. Decodes in a thread of its own. Use it as a context manager.

    `path`: the stream's `.packets` socket.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._newest: LiveFrame | None = None
        self._taken = -1
        self._info: StreamInfo | None = None
        self._refused: RefusedError | None = None
        self._decoder: Decoder | None = None
        self._fed: dict[int | None, Packet] = {}
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._subscription = StreamSubscription(
            path, StreamRequest(), on_packet=self._take_packet, on_info=self._take_info, clock=clock
        )
        self._thread = threading.Thread(target=self._read, name=f"frames-{path.stem}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # The loop has just ended.
                self._loop.call_soon_threadsafe(self._subscription.close)
            self._thread.join()

    def take(self, timeout_s: float = 10.0) -> LiveFrame:
        """Wait for a frame that is newer than the last one, and return the newest.

        Raises: StreamUnavailableError: none arrived in time. It says why.
        """
        begun_ns = self._clock.monotonic_ns()
        with self._changed:
            while True:
                waited_s = (self._clock.monotonic_ns() - begun_ns) / 1e9
                found = self._find_next(is_patient=waited_s < OLD_AFTER_S)
                if found is not None:
                    self._taken = found.number
                    return found
                if self._refused is not None:
                    raise StreamUnavailableError(str(self._refused))
                if waited_s >= timeout_s:
                    raise StreamUnavailableError(self._why())
                self._changed.wait(min(timeout_s - waited_s, 0.25))

    def _find_next(self, *, is_patient: bool) -> LiveFrame | None:
        """Return the newest frame, if it is new and, for a patient caller, fresh."""
        found = self._newest
        if found is None or found.number <= self._taken:
            return None
        is_fresh = self._clock.monotonic_ns() - found.received_ns <= FRESH_NS
        return found if is_fresh or not is_patient else None

    def _why(self) -> str:
        if self._info is None:
            return "The camera's stream cannot be read. Is the server running (`ninjacam serve`), with the same --data?"
        if self._info.error:
            return str(self._info.error.get("message"))
        if self._info.state is CameraState.DISABLED:
            return "The camera is disabled."
        return f"No frame came from the camera in time (state: {self._info.state.value})."

    # --- the reading thread ---

    def _read(self) -> None:
        with contextlib.closing(self._loop):
            try:
                self._loop.run_until_complete(self._subscription.run())
            except RefusedError as error:
                with self._changed:
                    self._refused = error
                    self._changed.notify_all()

    def _take_info(self, info: StreamInfo | None) -> None:
        with self._changed:
            self._info = info
        if info is None:
            self._decoder = None

    def _take_packet(self, packet: Packet) -> None:
        if packet.kind is not Kind.VIDEO:
            return
        if self._decoder is None or self._decoder.codec is not packet.codec:
            if not packet.is_key:
                return
            self._decoder = Decoder(packet.codec)
            self._fed = {}
        self._fed[packet.pts] = packet
        if len(self._fed) > MAX_HELD_BACK:
            del self._fed[next(iter(self._fed))]
        try:
            frames = self._decoder.decode_frames(packet)
        except DecodeError:
            return
        for frame in frames:
            # With B-frames, this is not the one just fed.
            self._publish(frame, self._fed.pop(frame.pts, packet))

    def _publish(self, frame: av.VideoFrame, packet: Packet) -> None:
        with self._changed:
            self._newest = LiveFrame(
                frame, self._number, packet.captured_ns, packet.received_ns, (frame.pts or 0) / VIDEO_CLOCK_HZ
            )
            self._number += 1
            self._changed.notify_all()
