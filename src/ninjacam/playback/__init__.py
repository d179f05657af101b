"""Serves recordings and exports over HTTP: playlists, files, clips and still frames.

Not here: reading recorded files (`ninjacam.recordings`), live video (`ninjacam.live`).
"""
