"""Who watches, live or recorded: whether they may, how many they are, and what they are cut off for.

Not here: what they watch (`ninjacam.live`, `ninjacam.playback`).
"""
