"""A small Django project around the media application, for tests of real servers.

Environment variables configure it.
"""
