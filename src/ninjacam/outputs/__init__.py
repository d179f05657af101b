"""Packets to the bytes that viewers read: multipart JPEG, fragmented MP4, the WebSocket's frames.

Not here: Django, HTTP, who may watch, and who is slow (`ninjacam.viewers`).
"""
