"""Viewers of live video and recordings: their permissions, limits on their number, and when they are disconnected.

Not here: the content they view (`ninjacam.live`, `ninjacam.playback`).
"""
