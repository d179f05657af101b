"""Packets to files and back: layout, segment writer, repair after a crash, reader.

Not here: the index (`ninjacam.models`), retention (`ninjacam.engine`), what is sent to players (`ninjacam.playback`).
"""
