"""A client for ONVIF devices: information, streams, encoders, PTZ, imaging, relays, events.

Not here: who may send a command and where it is sent from (`ninjacam.actions`, `ninjacam.devices`), and discovery.
"""
