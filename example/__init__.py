"""Somebody's own Django project, into which Ninjacam came by three lines and one `cameras.py`."""
