"""Ninjacam: a camera server that lives inside Django.

Here: the names that a processor needs, and the version. Importing this package imports neither Django
nor OpenCV; everything else is imported from its own module.
"""

from ninjacam.core.annotations import Box, Point, Polygon, Text
from ninjacam.core.frames import Frame
from ninjacam.core.processors import processor

__all__ = ["Box", "Frame", "Point", "Polygon", "Text", "__version__", "processor"]

__version__ = "0.1.0"
