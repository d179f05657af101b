"""Django's side of the engine: its wanted state, its index of recordings and its log of events, in the database.

Not here: what the engine does with them (`ninjacam.engine`), the processes that join both (`ninjacam.processes`).
"""
