"""Push messages for browsers: encryption (RFC 8291) and identification of this server (RFC 8292).

Not here: which events a user is notified of (`ninjacam.models.notification`), the message
(`ninjacam.actions.push_messages`), and sending it (`ninjacam.webhooks`).
"""
