"""Reads: the cameras, recordings, events, exports, grants and tokens that a user may see.

Not here: writes (`ninjacam.actions`).
"""
