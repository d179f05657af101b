"""The record of who did what: the logger "ninjacam.audit"."""

import json
import logging

from ninjacam.auth import Actor

logger = logging.getLogger("ninjacam.audit")


def record(actor: Actor, verb: str, subject: str, **details: object) -> None:
    """One line of JSON, which no name can break out of, and the same as `extra["audit"]`. Never give it a secret."""
    entry = {"verb": verb, "subject": subject, "by": actor.name, **details}
    logger.info("%s", json.dumps(entry, default=str), extra={"audit": entry})
