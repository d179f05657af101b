"""Local stream sockets: how compressed media crosses from the process that has it to those that want it.

Not here: what the packets mean, where they come from, and any network but this host's own.
"""
