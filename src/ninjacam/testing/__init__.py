"""What we and our users test with: frames, a fake RTSP camera, a phone's MJPEG camera, a fake clock, packets, stamps.

Not here: tests, and anything that the product needs to run (the demo camera is a guest like any other camera).
"""

from ninjacam.testing.frames import frame

__all__ = ["frame"]
