"""Commands to cameras: movement with a dead man's switch, and the local socket over which web workers send them.

See docs/design/0011-onvif.md. Not here: protocols of cameras (`ninjacam.onvif`), and permissions.
"""
