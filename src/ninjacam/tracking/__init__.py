"""Objects over time: tracks, crossings of a line, stays in a zone, and visits.

Everything here is pure and deterministic: it uses the boxes and capture times that it receives, and neither a clock, a
thread nor a file. Importing this package imports NumPy. Not here: detection (which boxes a frame has), the zones of a
camera, and events (what is stored of a visit).
"""

from ninjacam.tracking.lines import Crossing, LineCounter, LineUpdate
from ninjacam.tracking.tracker import Tracker
from ninjacam.tracking.visit import BestDetection, Visit
from ninjacam.tracking.visits import Visits, VisitUpdate
from ninjacam.tracking.zones import Stay, ZoneOccupancy, ZoneUpdate

__all__ = [
    "BestDetection",
    "Crossing",
    "LineCounter",
    "LineUpdate",
    "Stay",
    "Tracker",
    "Visit",
    "VisitUpdate",
    "Visits",
    "ZoneOccupancy",
    "ZoneUpdate",
]
