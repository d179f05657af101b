"""Motion in the luma plane: where something moves, and nothing about what it is. Imports OpenCV and NumPy."""

from ninjacam.motion.detector import MotionDetector, shrink

__all__ = ["MotionDetector", "shrink"]
