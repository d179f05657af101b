"""The audit record: the logger "ninjacam.audit", and the model `AuditEntry`, in the transaction of the action if it has
one.

Actions record what they do. Writes by other means, such as Django's admin, a shell or another app, are recorded by
`actions.audit_signals`, which is silent while an action decorated with `audited` runs.
"""

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, transaction
from django.http import HttpRequest

from ninjacam.auth import Actor, Principal, address_of_request, principal_of_request
from ninjacam.models import AuditEntry
from ninjacam.routes import SLUG
from ninjacam.throttle import get_throttle

logger = logging.getLogger("ninjacam.audit")

MAX_NAME_CHARS = 200
MAX_DETAILS_CHARS = 4000
_NOT_CAMERAS = {
    "group", "layout", "login", "logout", "notifications", "profile", "rule", "session", "token", "user", "webhook",
}  # fmt: skip
"""The verbs of these objects have no camera as their subject."""
TAKEN_EVERY_S = 3600.0
_HOUR_NS = 3600 * 10**9
_MAX_HOURS = 48

P = ParamSpec("P")
T = TypeVar("T")

_request: ContextVar[HttpRequest | None] = ContextVar("ninjacam_audit_request", default=None)
_in_action: ContextVar[bool] = ContextVar("ninjacam_audit_in_action", default=False)


def record(actor: Actor, verb: str, subject: str, **details: object) -> None:
    """Write one line of JSON, in which names are escaped, the same as `extra["audit"]`, and an `AuditEntry`.

    Never pass a secret.
    """
    record_as(actor.name, verb, subject, **details)


def record_as(by: str, verb: str, subject: str, **details: object) -> None:
    """Like `record`, but for events without an `Actor`, such as a failed login."""
    entry = {"verb": verb, "subject": subject, "by": by, **details}
    logger.info("%s", json.dumps(entry, default=str), extra={"audit": entry})
    row = AuditEntry(
        actor=_plain(by),
        verb=verb,
        subject=_plain(subject),
        camera=_camera_of(verb, subject, details),
        details=_bounded(details),
    )
    try:
        with transaction.atomic():
            row.save()
    except (
        DatabaseError
    ):  # Before the migration, or on a full disk. What is recorded has happened, and is in the log.
        logging.getLogger("ninjacam").exception("The audit log in the database lacks an entry.")


def _plain(text: str) -> str:
    return text.replace("\0", "")[:MAX_NAME_CHARS]


def _camera_of(verb: str, subject: str, details: Mapping[str, object]) -> str:
    """Return the short name of the camera that an entry is about; "": none."""
    is_camera = verb == "rule.notify" or verb.partition(".")[0] not in _NOT_CAMERAS
    name = details.get("camera") or (subject if is_camera else "")
    return name if isinstance(name, str) and re.fullmatch(SLUG, name) else ""


def _bounded(details: Mapping[str, object]) -> object:
    """Return the details as JSON values, or their shortened text if they are too long."""
    text = json.dumps(details, default=str)
    if len(text) > MAX_DETAILS_CHARS or "\\u0000" in text:
        return {"text": text.replace("\\u0000", "")[:MAX_DETAILS_CHARS]}
    return json.loads(text)


def record_taken(who: Principal, verb: str, slug: str, start_ns: int, end_ns: int, **details: object) -> None:
    """Record that `who` received recordings of [start, end).

    A player requests hundreds of files and frames, so there is one line per user, authentication method, camera and
    hour of the recordings, repeated after TAKEN_EVERY_S, for all workers together.
    """
    throttle = get_throttle()
    way = f"{who.user.pk}:{who.source}:{who.token_id}:{who.link_id}"
    hours = range(start_ns // _HOUR_NS, max(start_ns, end_ns - 1) // _HOUR_NS + 1)[:_MAX_HOURS]
    keys = [f"audit {verb}:{way}:{slug}:{hour}:{details}" for hour in hours]
    if any([throttle.claim(key, every_s=TAKEN_EVERY_S) for key in keys]):
        where = {"address": who.address} if who.source == "signed" else {}
        record(who, verb, slug, start_ns=start_ns, end_ns=end_ns, **details, **where)


def audited(action: Callable[P, T]) -> Callable[P, T]:
    """Decorate an action that records its own writes, so that the model signals do not record them again."""

    @wraps(action)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _in_action.set(True)
        try:
            return action(*args, **kwargs)
        finally:
            _in_action.reset(token)

    return run


def is_in_action() -> bool:
    return _in_action.get()


@contextlib.contextmanager
def acting(request: HttpRequest) -> Iterator[None]:
    """Attribute writes in the block to the user of `request`."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def present_name() -> str:
    """Return the actor of a write outside of actions: the user of the request, else this process."""
    request = _request.get()
    if request is None:
        return f"process {os.path.basename(sys.argv[0])} {' '.join(sys.argv[1:2])}".strip()[:80]
    principal = principal_of_request(request)
    return principal.name if principal is not None else f"not logged in, {address_of_request(request)}"
