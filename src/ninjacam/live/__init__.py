"""Serves live video over HTTP and WebSocket to any number of viewers of this worker.

Plain ASGI, so that a viewer uses neither a thread nor a database connection. Not here: recordings
(`ninjacam.playback`), formats (`ninjacam.outputs`), and anything that opens a camera.
"""
