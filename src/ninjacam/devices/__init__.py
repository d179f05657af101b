"""Commands to cameras: movement with a dead man's switch, and the local socket over which web workers send them.

docs/design/0011-onvif.md explains it. Not here: protocols of cameras (`ninjacam.onvif`), and permissions.
"""
