"""The desired state of this host: plain values, which are equal if no process must change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ninjacam.core.streams import MAIN, StreamFacts
from ninjacam.core.zones import Zone
from ninjacam.devices.patrol import PatrolPlan
from ninjacam.sources.base import SourceConfig


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream besides `main`, connected while it is used. `revision`, `error`: as of a camera.

    `width_px`: last known width; 0: unknown.
    """

    name: str
    source: SourceConfig
    revision: str = ""
    width_px: int = 0
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A camera that should run. `revision` changes whenever its capture must restart; recording settings do not
    change it.

    `record`: "events": record the windows `keep`, (from, until) in ns of the wall clock, which may start up to
    `record_before_s` before they are reported. `error`: `NinjacamError.as_dict()` if it cannot run at all (its
    credentials cannot be decrypted), else None. `width_px`: last known width of `main`; 0: unknown. `streams`:
    besides `main`. `record_stream`: the stream to record. `detect_stream`: the stream for processors; "": selected
    for each.
    """

    slug: str
    camera_id: int
    name: str
    source: SourceConfig
    enabled: bool = True
    revision: str = ""
    record: Literal["off", "always", "events"] = "off"
    record_before_s: float = 0
    keep: tuple[tuple[int, int], ...] = ()
    error: dict[str, Any] | None = None
    device: SourceConfig | None = None
    """The device that executes commands (ONVIF); None: commands are not supported. A change does not restart
    capture."""
    patrol: PatrolPlan | None = None
    """The patrol to run, or None."""
    width_px: int = 0
    streams: tuple[StreamSpec, ...] = ()
    record_stream: str = MAIN
    detect_stream: str = ""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Processor -> option -> its value for this camera."""
    processors: tuple[str, ...] = ()
    """Names of the ready-made processors that it uses."""
    processors_off: tuple[str, ...] = ()
    """Names of processors, ready-made or not, that do not run for it."""
    guest_view: str = ""
    """The view that replaces its own video for guests; "": none."""
    zones: tuple[Zone, ...] = ()

    @property
    def usable_streams(self) -> tuple[StreamSpec, ...]:
        """Return the streams besides `main` that can be opened."""
        return tuple(stream for stream in self.streams if stream.error is None)

    @property
    def facts(self) -> tuple[StreamFacts, ...]:
        """Return the facts of all streams that can be opened, `main` first."""
        others = (StreamFacts(stream.name, stream.width_px) for stream in self.usable_streams)
        return (StreamFacts(MAIN, self.width_px), *others)


@dataclass(frozen=True, slots=True)
class WantedState:
    """The desired state of this host."""

    cameras: tuple[CameraSpec, ...] = ()
    has_jobs: bool = False
    """Whether the process for exports and webhooks is needed."""


class Wanted(Protocol):
    """Source of the desired state: the database, or a list in tests."""

    def is_current(self) -> bool:
        """Return whether the last result of `read` is still valid; False if unknown. Called in the event loop once a
        second, and never blocks.
        """
        ...

    def read(self) -> WantedState:
        """Called in a thread if `is_current` returns False. Raises: NinjacamError: temporarily unavailable; the last
        result stays valid.
        """


class StatusSink(Protocol):
    """Receives the status of this host (writes `status.json` by default)."""

    def write(self, status: dict[str, Any]) -> None: ...
