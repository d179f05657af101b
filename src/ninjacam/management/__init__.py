"""The management commands and their shared code."""
