"""File formats: boxes of fragmented MP4, built from packets. No I/O.

Not here: which packets are written to which file (`ninjacam.recordings`), and streaming formats
(`ninjacam.outputs`).
"""
