"""Types for cameras that move: directions, presets, abilities."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vector:
    """Pan, tilt and zoom, each from -1 (left, down, wide) to 1. None leaves an axis unchanged."""

    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None

    @property
    def is_zero(self) -> bool:
        return not (self.pan or self.tilt or self.zoom)


@dataclass(frozen=True, slots=True)
class Preset:
    """A saved position. `token`: the camera's identifier."""

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class Abilities:
    """The supported functions of a camera. `max_presets`: 0 if it has no presets."""

    continuous_move: bool = False
    continuous_zoom: bool = False
    relative_move: bool = False
    relative_zoom: bool = False
    absolute_move: bool = False
    absolute_zoom: bool = False
    home: bool = False
    max_presets: int = 0
    min_timeout_s: float = 0.0
    """Shortest time after which the camera stops a continuous movement by itself; 0: unknown."""
