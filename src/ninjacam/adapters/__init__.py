"""Django's side of the engine: the desired state, the index of recordings and the event log, in the database.

Not here: what the engine does with them (`ninjacam.engine`), and the processes that connect both
(`ninjacam.processes`).
"""
