"""The decoding thread of one stream with viewers: decodes packets once, makes the camera's own view, and passes frames
to the threads of the other views.

Latest wins: late frames are decoded, because the next ones depend on them, but not shown while newer ones wait. Not
here: the thread and its queue (`vision.pipeline`), user code (`vision.views`).
"""

import logging
import queue
from collections.abc import Sequence
from dataclasses import replace

from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.vision.backlog import Backlog
from ninjacam.vision.chains import preceding_views, uses_motion
from ninjacam.vision.context import ViewContext
from ninjacam.vision.images import DecodedFrame, Decoder
from ninjacam.vision.views import LATE_NS, ViewInput, ViewMaker, ViewThread

logger = logging.getLogger("ninjacam.vision")

MAX_HELD_BACK = 32
"""Maximum number of packets whose frames may still be in the decoder: twice what H.264 and H.265 allow."""
PLACEHOLDER_EVERY_S = 1.0
DEFAULT_FPS = 25.0


class Decoding:
    """`views`: the threads of the processed views with viewers, by name. Thread: the one that calls `run`."""

    def __init__(self, context: ViewContext, backlog: Backlog, views: dict[str, ViewThread]) -> None:
        self._context = context
        self._camera = context.camera
        self._backlog = backlog
        self._views = views
        self._raw = ViewMaker("", context)
        self._info = StreamInfo(context.camera)
        self._down = True
        self._decoder: Decoder | None = None
        self._fed: dict[int, Packet] = {}
        self._number = 0
        self._frame_ns = 1e9 / DEFAULT_FPS
        self._last_pts = 0

    def run(self) -> None:
        """Return when the backlog is closed."""
        while True:
            try:
                item = self._backlog.get(timeout=PLACEHOLDER_EVERY_S if self._down else None)
            except queue.Empty:
                self._show_down()
                continue
            if item is None:
                return
            if isinstance(item, StreamInfo):
                self._info = item
                self._down = item.state is not CameraState.LIVE
                if self._down:
                    self._backlog.needs_key = True
                    self._show_down()
            else:
                for packet in item:
                    self._handle(packet, is_last=packet is item[-1])

    def _handle(self, packet: Packet, *, is_last: bool) -> None:
        if self._backlog.needs_key:
            if not packet.is_key:
                return
            self._backlog.needs_key = False
            self._decoder = None
        if self._decoder is None or self._decoder.codec is not packet.codec:
            self._decoder = Decoder(packet.codec)
            self._fed = {}
        if 0 < packet.pts - self._last_pts < VIDEO_CLOCK_HZ:
            step_ns = (packet.pts - self._last_pts) * 1e9 / VIDEO_CLOCK_HZ
            self._frame_ns += (step_ns - self._frame_ns) / 16
        self._last_pts = packet.pts
        self._fed[packet.pts] = packet
        if len(self._fed) > MAX_HELD_BACK:
            del self._fed[next(iter(self._fed))]
        try:
            frames = self._decoder.decode(packet)
            self._context.shared.software_reason = self._decoder.software_reason
        except DecodeError as exc:
            logger.debug("%s: %s", self._camera, exc)
            return
        if not is_last:
            return
        if self._backlog.waiting and self._context.clock.monotonic_ns() - packet.received_ns > LATE_NS:
            return
        for frame in frames[-1:]:
            # With B-frames, this is not the one just fed.
            self._show(frame, self._fed.pop(frame.pts, packet))
            self._number += 1

    def _show(self, frame: DecodedFrame | None, packet: Packet) -> None:
        shared = self._context.shared
        view_input = ViewInput(frame, packet, self._number, self._frame_ns, self._info)
        if frame is not None:
            shared.scene.look(frame, packet.received_ns)
            current = self._context.code.current
            if any(
                each.waits_for_motion or uses_motion(current.get(each.request.view))
                for each in shared.variants
            ):
                attention = shared.attention
                attention.look(frame, packet.received_ns, shared.zones)
                view_input = replace(view_input, motion=attention.areas, is_awake=attention.is_awake)
        wanted = {variant.request.view for variant in shared.variants}
        for view, thread in list(self._views.items()):  # The loop may remove one meanwhile.
            if thread.broken or (view not in wanted and thread.has_lingered):
                self._views.pop(view, None)
                thread.stop()
        # The threads of user code start before this one encodes the camera's own view.
        self._offer(view_input, sorted(wanted - {""}))
        if "" in wanted:
            self._raw.make(view_input)

    def _offer(self, view_input: ViewInput, wanted: Sequence[str]) -> None:
        """Offer a frame to the views that start a chain. Others get it from the view before them."""
        current = self._context.code.current
        threads: dict[str, ViewThread] = {}
        for view in wanted:
            thread = self._views.get(view)
            if thread is None:
                thread = self._views[view] = ViewThread(view, self._context)
            threads[view] = thread
        before = {view: preceding_views(current, view, self._camera)[-1:] for view in wanted}
        for view, thread in threads.items():
            thread.followers = tuple(threads[other] for other in wanted if before[other] == [view])
        for view, thread in threads.items():
            if not before[view]:
                thread.offer(view_input)

    def _show_down(self) -> None:
        """Show in every view that the camera is unavailable, and why; once a second, so that new viewers see it too."""
        self._last_pts += int(PLACEHOLDER_EVERY_S * VIDEO_CLOCK_HZ)
        clock = self._context.clock
        packet = Packet(
            Kind.VIDEO, Codec.NONE, b"", self._last_pts, clock.monotonic_ns(),
            flags=Flags.DISCONT, captured_ns=clock.wall_ns(),
        )  # fmt: skip
        self._show(None, packet)
