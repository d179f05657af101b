"""Keeps processes running: starts, monitors, restarts and ends them, and finds out why one died.

Not here: what the processes do (`capture`, `vision`), which ones there are (`engine`), and their entry points
(`processes`).
"""
