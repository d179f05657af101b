"""One camera after the other: open, repair time, publish, watch, reconnect. A few cameras a process.

Not here: decoding, user code, Django, and the decision which cameras there are (`ninjacam.engine`).
"""
