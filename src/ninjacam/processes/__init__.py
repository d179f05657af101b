"""Entry points of the processes that Ninjacam starts, one module each. Never started by hand.

Not here: the commands that users run (`management.commands`).
"""
