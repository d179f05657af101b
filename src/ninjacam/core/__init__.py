"""The vocabulary of all other packages: packets, frames, clocks, errors, lifecycles.

Not here: anything that does I/O, and anything that knows a protocol, a process or Django.
"""
