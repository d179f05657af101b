"""The vocabulary of all other packages: packets, frames, clocks, errors, lifecycles.

Not here: I/O, and anything that depends on a protocol, a process or Django.
"""
