"""Captures cameras: open, repair time, publish, watch, reconnect. Several cameras per process.

Not here: decoding, user code, Django, and the choice of cameras (`ninjacam.engine`).
"""
