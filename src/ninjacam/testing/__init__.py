"""What we and our users test with: a fake RTSP camera, a phone's MJPEG camera, a fake clock, packet sequences, stamps.

Not here: tests, and anything that the product needs to run (the demo camera is a guest like any other camera).
"""
