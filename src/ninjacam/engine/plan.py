"""Assigns cameras to processes: a pure function of the desired state and the running processes.

Running cameras stay in their process, because moving one interrupts its viewers for a second.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ninjacam.engine.specs import CameraSpec

OWN_CAPTURE = "capture-own-"
"""Prefix of the name of a capture process with a single camera, for sources that run native code on camera data."""
PUBLISHED_CAPTURE = "capture-published"
"""Name of the capture process that listens on the ports for publishing cameras."""


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
    """Return the plan. `running`: process name -> its current slugs. `place_of`: returns the name of the capture
    process that the camera requires; "": any."""
    enabled = sorted((c for c in cameras if c.enabled and c.error is None), key=lambda c: c.slug)
    capture = _fill(
        "capture",
        [camera for camera in enabled if not place_of(camera)],
        running,
        max_cameras=cameras_per_capture,
    )
    for camera in enabled:
        if name := place_of(camera):
            capture.setdefault(name, []).append(camera)
    workers = max(1, min(vision_workers, len(enabled)))
    vision = _spread([f"vision-{n}" for n in range(1, workers + 1)], enabled, running)
    return ProcessPlan(
        capture={name: tuple(assigned) for name, assigned in capture.items() if assigned},
        vision={name: tuple(assigned) for name, assigned in vision.items()},
    )


def _spread(
    names: list[str], cameras: list[CameraSpec], running: Mapping[str, Collection[str]]
) -> dict[str, list[CameraSpec]]:
    """Keep running cameras in their processes, and assign the others to the processes with the fewest cameras."""
    shared: dict[str, list[CameraSpec]] = {name: [] for name in names}
    unassigned = []
    for camera in cameras:
        process = next((name for name in names if camera.slug in running.get(name, ())), None)
        if process is None:
            unassigned.append(camera)
        else:
            shared[process].append(camera)
    for camera in unassigned:
        min(shared.values(), key=len).append(camera)
    return shared


def _fill(
    prefix: str, cameras: list[CameraSpec], running: Mapping[str, Collection[str]], *, max_cameras: int
) -> dict[str, list[CameraSpec]]:
    assigned: dict[str, list[CameraSpec]] = {}
    unassigned = []
    for camera in cameras:
        process = next(
            (
                name
                for name, slugs in running.items()
                if name.removeprefix(f"{prefix}-").isdigit() and camera.slug in slugs
            ),
            None,
        )
        if process is not None and len(assigned.setdefault(process, [])) < max_cameras:
            assigned[process].append(camera)
        else:
            unassigned.append(camera)
    for camera in unassigned:
        free = [name for name in assigned if len(assigned[name]) < max_cameras]
        if not free:
            number = next(n for n in range(1, len(assigned) + 2) if f"{prefix}-{n}" not in assigned)
            free = [f"{prefix}-{number}"]
            assigned[free[0]] = []
        assigned[free[0]].append(camera)
    return assigned
