"""Writes packets to files and reads them back: layout, segment writer, repair after a crash, reader.

Not here: the index (`ninjacam.models`), retention (`ninjacam.engine`), serving players (`ninjacam.playback`).
"""
