"""Long or rare checks: fuzzing, kill loops, soak runs. `make trials` runs them; `make test` does not.

Each trial prints what it counted. A fault that a trial finds becomes a short test, or a seed, of the ordinary suite.
"""
