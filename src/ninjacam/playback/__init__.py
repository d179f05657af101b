"""Serves recordings and exports over HTTP: playlists, files, clips and still pictures.

Not here: reading recorded files (`ninjacam.recordings`), live video (`ninjacam.live`).
"""
