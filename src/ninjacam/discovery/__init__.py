"""Finds cameras, phones and recorders in the local network: docs/design/0010-discovery.md.

Knows no Django. All that arrives is hostile: bounded, cleaned, and merged into `FoundDevice`. Not here: who may search,
how often, and what is known already (`ninjacam.actions.discovery`); images (`ninjacam.capture.probe`).
"""
