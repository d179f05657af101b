"""What every request passes before it is served: which are ours, and limits on heads, bodies, time and numbers.

Not here: who may watch (`ninjacam.viewers`), and what is served (`ninjacam.live`, `ninjacam.playback`, Django).
"""
