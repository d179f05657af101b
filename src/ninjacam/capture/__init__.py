"""Captures cameras: opens, monitors, publishes and reopens them, and repairs their times. Several cameras per
process.

Not here: decoding, user code, Django, and the choice of cameras (`ninjacam.engine`).
"""
