"""Runs processors over recorded video, as a vision worker runs them over live video, and searches it for motion.

Not here: the processes in which user code runs (`processes.backtest_job`), the command, and the database.
"""
