"""Decoders: one module for each family of networks, which turns raw outputs into candidates. NumPy only."""
