"""A client for ONVIF devices: information, streams, encoders, PTZ, imaging, relays, events.

Not here: permissions and sending processes of commands (`ninjacam.actions`, `ninjacam.devices`), and discovery.
"""
