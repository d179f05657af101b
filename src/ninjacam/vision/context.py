"""What the event loop and the threads of one stream share. Imports neither OpenCV nor PyAV."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.core.packets import Codec, Packet
from ninjacam.core.zones import Zones
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.attention import Attention
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.failure_cases import FailureCases
from ninjacam.vision.health import ViewHealth
from ninjacam.vision.scene import SceneWatch


@dataclass(slots=True, eq=False)
class Variant:
    """One encoding of one view (or its annotations), and its subscribers. `sequence`: of its last packet."""

    request: StreamRequest
    channel: Channel
    sequence: int = 0
    failing: bool = False
    has_output: bool = True
    """False: the view is made for what its processor does, and nobody receives the result."""
    waits_for_motion: bool = False

    @property
    def is_video(self) -> bool:
        return self.request.codec is not Codec.ANNOTATIONS


@dataclass(slots=True)
class Shared:
    """State that outlives an abandoned thread. `variants` and `quarantined` are replaced as a whole by the loop.

    `quarantined`, `stalled`: view -> (until, monotonic ns; reason): views that pause because, according to the engine,
    they crashed their worker, and views that pause because they did not return. `options`: view -> the values of its
    options that were set for this camera. `zones`: of the camera, replaced as a whole by the loop. `guest_view`: the
    view that replaces the camera's own video for guests; "": none. `software_reason`: why the hardware of the settings
    does not decode this stream.
    """

    variants: tuple[Variant, ...] = ()
    health: dict[str, ViewHealth] = field(default_factory=dict)
    quarantined: dict[str, tuple[int, ProcessorError]] = field(default_factory=dict)
    stalled: dict[str, tuple[int, ProcessorError]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    zones: Zones = field(default_factory=Zones)
    guest_view: str = ""
    scene: SceneWatch = field(default_factory=SceneWatch)
    attention: Attention = field(default_factory=Attention)
    software_reason: str = ""

    def resting(self, view: str, now_ns: int) -> ProcessorError | None:
        for rests in (self.quarantined, self.stalled):
            until_ns, why = rests.get(view, (0, None))
            if why is not None and now_ns < until_ns:
                return why
        return None


@dataclass(frozen=True, slots=True)
class ViewContext:
    """Shared by all views of a camera. `publish`, `on_health`: called in the views' threads; they must switch to the
    loop themselves.
    """

    camera: str
    code: ProcessorCode
    shared: Shared
    running: RunningFile
    publish: Callable[[list[tuple[Channel, Packet]]], None]
    on_health: Callable[[], None]
    clock: Clock
    failures: FailureCases | None = None
