"""Requests and responses of the API, one module for each noun. Field names have units; a PATCH changes only the fields
that it names."""
