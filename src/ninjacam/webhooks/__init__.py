"""Sends the deliveries of the outbox to webhooks: signature, request, attempts, and the loop that runs them.

Not here: which events a webhook receives (`ninjacam.models.webhook`, `ninjacam.models.outbox`).
"""
