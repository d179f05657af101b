"""Sources convert a URL to packets: one module per transport, and the closed list of URL schemes.

Not here: retrying, repairing time, publishing (`ninjacam.capture`), decoding (`ninjacam.vision`).
"""
