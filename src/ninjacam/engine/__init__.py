"""The supervisor of one host: reads the desired state, assigns cameras to processes, keeps these running, reports.

Not here: media of any kind, and Django; the protocols in `specs`, `recording` and `events` say what it
needs of the outside.
"""
