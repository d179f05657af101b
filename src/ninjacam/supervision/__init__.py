"""Keeping processes running: starting, watching, restarting and ending them, and finding out why one died.

Not here: what the processes do (`capture`, `vision`), which of them there are (`engine`), and their entry points
(`processes`).
"""
