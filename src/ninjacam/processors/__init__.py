"""Processors that come with Ninjacam. Each module is one, and is loaded in vision workers like the user's own
`cameras.py`, when a camera uses it. Their list: `core.ready_made`.
"""
