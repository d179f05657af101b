"""The thread of one stream with viewers, as the event loop sees it. Not here: what it does (`vision.decoding`).

The thread imports OpenCV, PyAV and NumPy, which take 40 MB, so that a worker without viewers does not need them.
"""

import logging
import threading
from typing import TYPE_CHECKING

from ninjacam.core.packets import CameraState, Packet, StreamInfo
from ninjacam.vision.backlog import Backlog
from ninjacam.vision.context import ViewContext

if TYPE_CHECKING:
    from ninjacam.vision.views import ViewThread

logger = logging.getLogger("ninjacam.vision")


class Pipeline:
    """`views`: the threads of the processed views with viewers, by name. Thread: the event loop, but for `_run`."""

    def __init__(self, context: ViewContext) -> None:
        self.views: dict[str, ViewThread] = {}
        self.broken = False
        """Whether the thread has ended by itself."""
        self._context = context
        self._backlog = Backlog(context.shared.attention.gate)
        self._thread = threading.Thread(target=self._run, name=f"vision-{context.camera}", daemon=True)
        self._thread.start()

    def put(self, packet: Packet) -> None:
        self._backlog.put(packet)

    def put_info(self, info: StreamInfo | None) -> None:
        """None: the camera's stream is temporarily unavailable."""
        self._backlog.put_info(info or StreamInfo(self._context.camera, state=CameraState.UNKNOWN))

    def stop(self) -> None:
        self._backlog.close()

    def abandon_view(self, view: str) -> None:
        """Its user code does not return: start another thread for it at the next frame."""
        thread = self.views.pop(view, None)
        if thread is not None:
            thread.abandon()

    def _run(self) -> None:
        try:
            from ninjacam.vision.decoding import Decoding

            Decoding(self._context, self._backlog, self.views).run()
        except BaseException:  # Bugs must be logged; `DecodedStream` starts another thread.
            logger.exception("%s: the vision thread ended by a bug", self._context.camera)
            self.broken = True
        finally:
            for thread in list(self.views.values()):
                thread.stop()
