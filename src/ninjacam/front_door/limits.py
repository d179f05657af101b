"""Limits on the head of a request (the request line and its headers)."""

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 100
MAX_URL_BYTES = 8 << 10
