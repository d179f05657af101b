"""Long or rare checks: fuzzing, kill loops, soak runs. `make trials` runs them; `make test` does not.

Each trial prints its counts. A fault found by a trial becomes a short test, or a seed, of the ordinary suite.
"""
