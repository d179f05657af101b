"""Processors that come with Ninjacam. Each module that `core.ready_made` lists is one, and is loaded in vision workers
like the user's own `cameras.py`, when a camera uses it. The other modules are what several of them use.
"""
