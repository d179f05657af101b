"""Names and descriptions of the processors that Ninjacam includes. The processors are in
`ninjacam.processors`."""

from ninjacam.core.texts import gettext_noop

READY_MADE = {
    "motion": gettext_noop("Events while something moves, in zones if the camera has any."),
    "objects": gettext_noop("People, vehicles and animals: one event for each visit. Needs a model."),
    "faces": gettext_noop("Faces: one event for each visit. Needs a model."),
    "privacy": gettext_noop("The image in which persons, faces or masks are hidden. Needs a model."),
    "codes": gettext_noop("QR codes, barcodes and ArUco markers: one event when a code appears."),
    "tampering": gettext_noop("Events when the camera is moved or out of focus. Not for cameras that turn."),
    "clock": gettext_noop("The image with date, time and the name of the camera."),
    "occupancy": gettext_noop("How many objects are in each zone, and which ones loiter. Needs “objects”."),
    "text": gettext_noop("Texts and number plates in the snapshots of events. Needs the extra “text”."),
}
"""Name -> description."""
PACKAGE = "ninjacam.processors"


def is_ready_made(module: str) -> bool:
    """Return whether a module contains a ready-made processor."""
    return module.startswith(f"{PACKAGE}.")
