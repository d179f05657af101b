"""The supervisor of one host: reads the desired state, assigns cameras to processes, keeps these running, reports.

Not here: media, and Django. The protocols in `specs`, `recording` and `events` define the required interfaces.
"""
