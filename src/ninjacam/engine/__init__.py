"""The supervisor of one host: reads what is wanted, plans who does it, keeps the children alive, reports.

Not here: media of any kind, and Django; the protocols in `specs`, `recording` and `events` say what it
needs of the outside.
"""
