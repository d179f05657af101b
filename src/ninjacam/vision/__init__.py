"""Pixels: decode on demand, run user code, draw, encode once for all viewers. The only place where user code runs.

Not here: cameras (`ninjacam.capture`), browsers (`ninjacam.live`), Django (the worker's entry point sets it up).
"""
