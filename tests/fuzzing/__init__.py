"""Broken inputs for the parsers of what cameras, recordings and local sockets hold; see `mutation` and `parsers`."""
