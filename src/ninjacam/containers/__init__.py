"""The formats of files: boxes of fragmented MP4, built from packets. No input/output.

Not here: which packets go into which file (`ninjacam.recordings`), what viewers are sent (`ninjacam.outputs`).
"""
