"""Reads: what a user may see of cameras, recordings, events, exports, grants and tokens. Not here: writes (`ninjacam.actions`)."""
