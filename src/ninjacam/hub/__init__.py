"""Local stream sockets, which carry compressed media from the process that has it to those that need it.

Not here: the meaning and origin of the packets, and any network but this host's own.
"""
