"""Entry points of the processes that Ninjacam starts, a module each. Nobody starts them by hand.

Not here: the commands that people run (`management.commands`).
"""
