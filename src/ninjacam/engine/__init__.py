"""The supervisor of one host: reads what is wanted, plans who does it, keeps the children alive, reports.

Not here: media of any kind, and Django; what the engine needs of the outside it takes through `engine.interfaces`.
"""
