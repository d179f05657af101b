"""The desired state of this host: plain values, equal if nothing has to be done."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ninjacam.sources.base import SourceConfig


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A camera that should run. `revision` changes whenever its capture must restart; recording settings do not
    change it.

    `record`: "events": record what is captured within the windows `keep`, (from, until) in ns of the wall clock, of
    which some may start up to `record_before_s` ago when they are reported. `error`: NinjacamError.as_dict() if it
    cannot run at all (its credentials cannot be decrypted), else None.
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
    """How to send commands to the camera (ONVIF); None: not at all. A change does not restart capture."""


@dataclass(frozen=True, slots=True)
class WantedState:
    """Everything that this host should run."""

    cameras: tuple[CameraSpec, ...] = ()
    has_jobs: bool = False
    """Whether the process that makes exports is needed."""


class Wanted(Protocol):
    """Source of the desired state: the database on Django's side, a list in tests."""

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
