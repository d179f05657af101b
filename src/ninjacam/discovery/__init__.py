"""Finds cameras, phones and recorders in the local network: docs/design/0010-discovery.md.

Independent of Django. All received data is untrusted: limited, sanitized, and merged into `FoundDevice`. Not here:
permissions, rate limits and known cameras (`ninjacam.actions.discovery`); images (`ninjacam.capture.probe`).
"""
