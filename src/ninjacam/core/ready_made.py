"""The processors that come with Ninjacam. Not here: the processors (`ninjacam.processors`)."""

READY_MADE = {
    "motion": "Events while something moves, in zones if the camera has any.",
    "objects": "People, vehicles and animals: one event for each visit. Needs a model.",
}
"""Name -> description."""
PACKAGE = "ninjacam.processors"
