"""Parsing of compressed media: NAL units, parameter sets, sizes, codec strings.

Not here: decoding and encoding (`ninjacam.vision`, `ninjacam.recordings`), files (`ninjacam.containers`).
"""
