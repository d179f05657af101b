"""Keeps processes running: starts, monitors, restarts and ends them, and determines why a process died.

Not here: the functions of the processes (`capture`, `vision`), their number (`engine`), and their entry points
(`processes`).
"""
