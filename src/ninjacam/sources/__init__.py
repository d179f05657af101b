"""Sources turn a URL into packets: one module per way to reach a camera, and the closed list of URL schemes.

Not here: retrying, repairing time, publishing (`ninjacam.capture`), decoding (`ninjacam.vision`).
"""
