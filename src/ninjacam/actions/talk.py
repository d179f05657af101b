"""Record talks: audio that users send to the loudspeakers of cameras. Not here: sending it (`ninjacam.live.talk`)."""

from ninjacam.actions.audit import record
from ninjacam.auth import Actor


def record_talk(actor: Actor, slug: str, verb: str, **details: object) -> None:
    """Record the start of a talk with its result, or its end with its reason and duration."""
    record(actor, f"talk.{verb}", slug, **details)
