"""Request handling before any view: routing between Ninjacam and Django, and limits on headers, bodies, time and
concurrency.

Not here: permissions (`ninjacam.viewers`), and responses (`ninjacam.live`, `ninjacam.playback`, Django).
"""
