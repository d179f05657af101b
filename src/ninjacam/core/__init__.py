"""The vocabulary that every other package speaks: packets, frames, clocks, errors, life and death.

Not here: anything that does I/O, and anything that knows a protocol, a process or Django.
"""
