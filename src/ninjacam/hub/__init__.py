"""Local stream sockets, which carry compressed media between the processes of this host.

Not here: the meaning and origin of the packets, and any other network.
"""
