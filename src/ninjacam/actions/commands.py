"""Sends one command to the device of a camera, and records it with its result."""

from typing import Any

from ninjacam.actions.audit import record
from ninjacam.auth import Actor
from ninjacam.core.errors import NinjacamError
from ninjacam.models import Camera
from ninjacam.queries.device import ask_device


def send_to_device(actor: Actor, camera: Camera, verb: str, op: str, **values: Any) -> Any:
    """Return the device's result. `verb`: for the audit record, which has `values` as well.

    Blocks for up to 15 s. The caller has checked the permission. Raises: as `ask_device`.
    """
    code = "ok"
    try:
        return ask_device(actor, camera, op, **values)
    except NinjacamError as error:
        code = error.code
        raise
    finally:
        record(actor, verb, camera.slug, **values, result=code)
