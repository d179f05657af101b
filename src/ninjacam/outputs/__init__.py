"""Converts packets to viewers' formats: multipart JPEG, fragmented MP4, and messages of the WebSocket.

Not here: Django, HTTP, permissions, and slow clients (`ninjacam.viewers`).
"""
