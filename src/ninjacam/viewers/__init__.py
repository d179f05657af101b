"""Viewers of live video and recordings: permissions, limits on their number, disconnection, and shared feeds.

Not here: the content (`ninjacam.live`, `ninjacam.playback`).
"""
