"""The engine's access to Django: the desired state, the index of recordings and the event log, in the database.

Not here: their use (`ninjacam.engine`), and the processes that combine both (`ninjacam.processes`).
"""
