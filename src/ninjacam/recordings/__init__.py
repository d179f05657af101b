"""Recordings as files: written, repaired, read. Not here: the index (`models/segment.py`), retention, and HTTP."""
