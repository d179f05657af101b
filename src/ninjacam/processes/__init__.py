"""Entry points of the processes that Ninjacam starts, one module each. Do not start them manually.

Not here: management commands (`management.commands`).
"""
