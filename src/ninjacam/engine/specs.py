"""What the outside wants of this host: plain values, equal when nothing has to be done."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ninjacam.sources.base import SourceConfig


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A camera that should run. `revision` changes whenever its capture has to start anew; what is recorded does not
    change it.

    `record`: "events": what was captured within the windows `keep`, (from, until) in ns of the wall clock, of which
    some may be up to `record_before_s` ago when they are told.
    `error`: NinjacamError.as_dict() of why it cannot run at all (its credentials cannot be opened), else None.
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


@dataclass(frozen=True, slots=True)
class WantedState:
    """Everything that this host should do."""

    cameras: tuple[CameraSpec, ...] = ()
    has_jobs: bool = False
    """Whether the process that makes exports is needed."""


class Wanted(Protocol):
    """Where the wanted state comes from: the database at the Django edge, a list in tests."""

    def read(self) -> WantedState:
        """Called in a thread about once a second. Raises: NinjacamError: not to be had now; the last answer stands."""


class StatusSink(Protocol):
    """Who is told what this host does (`status.json` by default)."""

    def write(self, status: dict[str, Any]) -> None: ...
