"""Viewers of live video and recordings: their permissions, limits on their number, when they are disconnected, and
the feeds that they share.

Not here: the content they view (`ninjacam.live`, `ninjacam.playback`).
"""
