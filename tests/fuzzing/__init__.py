"""Malformed inputs for the parsers of camera data, recordings and local sockets; see `mutation` and `parsers`."""
