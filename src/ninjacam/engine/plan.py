"""Assigns cameras to processes: a pure function of the desired state and the running processes.

Running cameras stay in their process, because moving one interrupts its viewers for a second.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ninjacam.engine.specs import CameraSpec

OWN_CAPTURE = "capture-own-"
"""Prefix of the name of a capture process with a single camera, for sources that run native code on camera data."""
PUBLISHED_CAPTURE = "capture-published"
"""Name of the capture process that has the ports on which cameras publish."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """Process name -> its cameras. Names are `capture-N` and `vision-N`."""

    capture: Mapping[str, tuple[CameraSpec, ...]]
    vision: Mapping[str, tuple[CameraSpec, ...]]


def make_plan(
    cameras: Collection[CameraSpec],
    running: Mapping[str, Collection[str]],
    *,
    cameras_per_capture: int,
    vision_workers: int,
    place_of: Callable[[CameraSpec], str],
) -> ProcessPlan:
    """`running`: process name -> its current slugs. `place_of`: returns the name of
    the capture process that the camera needs; "": any.
    """
    enabled = sorted((c for c in cameras if c.enabled and c.error is None), key=lambda c: c.slug)
    capture = _place(
        "capture",
        [camera for camera in enabled if not place_of(camera)],
        running,
        most=cameras_per_capture,
    )
    for camera in enabled:
        if name := place_of(camera):
            capture.setdefault(name, []).append(camera)
    workers = max(1, min(vision_workers, len(enabled)))
    vision = _share([f"vision-{n}" for n in range(1, workers + 1)], enabled, running)
    return ProcessPlan(
        capture={name: tuple(held) for name, held in capture.items() if held},
        vision={name: tuple(held) for name, held in vision.items()},
    )


def _share(
    names: list[str], cameras: list[CameraSpec], running: Mapping[str, Collection[str]]
) -> dict[str, list[CameraSpec]]:
    """Leave cameras where they run, and give the others to the processes that have the fewest."""
    shared: dict[str, list[CameraSpec]] = {name: [] for name in names}
    homeless = []
    for camera in cameras:
        home = next((name for name in names if camera.slug in running.get(name, ())), None)
        if home is None:
            homeless.append(camera)
        else:
            shared[home].append(camera)
    for camera in homeless:
        min(shared.values(), key=len).append(camera)
    return shared


def _place(
    prefix: str, cameras: list[CameraSpec], running: Mapping[str, Collection[str]], *, most: int
) -> dict[str, list[CameraSpec]]:
    held: dict[str, list[CameraSpec]] = {}
    homeless = []
    for camera in cameras:
        home = next(
            (
                name
                for name, slugs in running.items()
                if name.removeprefix(f"{prefix}-").isdigit() and camera.slug in slugs
            ),
            None,
        )
        if home is not None and len(held.setdefault(home, [])) < most:
            held[home].append(camera)
        else:
            homeless.append(camera)
    for camera in homeless:
        free = [name for name in held if len(held[name]) < most]
        if not free:
            number = next(n for n in range(1, len(held) + 2) if f"{prefix}-{n}" not in held)
            free = [f"{prefix}-{number}"]
            held[free[0]] = []
        held[free[0]].append(camera)
    return held
