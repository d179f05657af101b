"""Converts packets to the formats that viewers read: multipart JPEG, fragmented MP4, the WebSocket's messages.

Not here: Django, HTTP, permissions, and slow clients (`ninjacam.viewers`).
"""
