"""Carries out the actions of rules: e-mails, and protection of events. Called at least once for each delivery of the
outbox, in the jobs process.
"""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email
from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import record
from ninjacam.actions.events import update_event
from ninjacam.actions.snapshots import read_snapshot
from ninjacam.core.errors import NotFoundError, QuotaError
from ninjacam.models import Action, Camera, Event, Role, Rule
from ninjacam.models.rule import MAX_RECIPIENTS
from ninjacam.permissions import AnyUser, load_grants, may, may_all
from ninjacam.webhooks.outbox import Claimed
from ninjacam.webhooks.request import DeliveryError

SMTP_TIMEOUT_S = 8
"""Maximum seconds of each step of an SMTP connection."""
MAX_USERS = 1000
"""Maximum number of users who are considered as recipients of a rule that names none."""


class RuleActor:
    """A rule that acts on an event of any camera, but not beyond the quotas."""

    def __init__(self, rule: Rule) -> None:
        self.name = f"rule {rule.name}"

    def may(self, role: str, camera: Camera, view: str | None = None) -> bool:
        return True

    def may_all(self, permission: str, scope: str = "*") -> bool:
        return False

    def may_act_for(self, user: AnyUser) -> bool:
        return False


def perform(claimed: Claimed) -> None:
    """Carry out the action of a delivery. Nothing happens if its event or rule was deleted. Blocks.

    Raises: DeliveryError.
    """
    rule = Rule.objects.filter(pk=claimed.rule_id or 0).first()
    event = Event.objects.filter(pk=claimed.event_id).first()
    if rule is None or event is None:
        return
    if claimed.action == Action.PROTECT:
        _protect(rule, event)
    else:
        _notify(rule, event, claimed)


def _protect(rule: Rule, event: Event) -> None:
    """Raises: DeliveryError: the quota of protected recordings is used up, or the camera was deleted."""
    try:
        update_event(RuleActor(rule), event, protected=True)
    except QuotaError as error:
        raise DeliveryError(error.message) from error
    except NotFoundError as error:
        raise DeliveryError(error.message, is_final=True) from error


def _notify(rule: Rule, event: Event, claimed: Claimed) -> None:
    """Raises: DeliveryError."""
    camera = Camera.objects.filter(slug=event.slug).first() if event.slug else None
    addresses = list(islice(_addresses(rule, event, camera), MAX_RECIPIENTS))
    if not addresses and rule.only_recipients and not rule.recipients.exists():
        raise DeliveryError("The recipients of this rule were deleted. Choose others.", is_final=True)
    if not addresses:
        raise DeliveryError(
            "No recipient of this rule has an e-mail address and may replay the camera. Change the recipients.",
            is_final=True,
        )
    message = _message(event, camera, claimed)
    message.bcc = addresses
    # Backends other than that of SMTP ignore the timeout.
    message.connection = get_connection(timeout=SMTP_TIMEOUT_S)
    try:
        message.send()
    except OSError as error:  # Also each SMTPException. Its text may contain addresses.
        raise DeliveryError(
            f"The mail server did not accept the e-mail ({type(error).__name__}). Check the settings EMAIL_*, or "
            "NINJACAM_EMAIL of `ninjacam serve`."
        ) from error
    record(RuleActor(rule), "rule.notify", event.slug, event=event.pk, recipients=len(addresses))


def _addresses(rule: Rule, event: Event, camera: Camera | None) -> Iterator[str]:
    """Yield the e-mail addresses of the recipients with permission to read the event, without duplicates."""
    model: Any = get_user_model()
    field = model.get_email_field_name()
    users: list[AbstractBaseUser] = list(rule.recipients.all())
    if not users and not rule.only_recipients:
        users = list(model._default_manager.filter(is_active=True).order_by("pk")[:MAX_USERS])
    load_grants(users)
    seen = set()
    for user in users:
        address = str(getattr(user, field, "") or "").strip()
        if address in seen or not _is_address(address):
            continue
        if may(user, Role.REPLAY, camera) if camera is not None else may_all(user, "replay_camera"):
            seen.add(address)
            yield address


def _is_address(text: str) -> bool:
    """Return whether Django can send to it. An invalid address would prevent the e-mail to all others."""
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _message(event: Event, camera: Camera | None, claimed: Claimed) -> EmailMessage:
    where = (camera.name or camera.slug) if camera is not None else event.slug or _("server")
    title = event.label or event.kind
    facts = [(_("Kind"), event.kind), (_("Begin"), _local(event.start))]
    if event.end is not None:
        facts.append((_("End"), _local(event.end)))
    if event.zone_names:
        facts.append((_("Zones"), ", ".join(event.zone_names)))
    if event.score is not None:
        facts.append((_("Score"), f"{event.score:.2f}"))
    lines = [f"{where}: {title}", "", *(f"{name}: {value}" for name, value in facts)]
    if json.loads(claimed.body).get("is_last"):
        lines += ["", _("This rule sends no further e-mails within the hour, because its limit is reached.")]
    subject = " ".join(f"[{where}] {title}".split())  # A header has one line.
    # The same for each attempt, so that mail programs show one that arrives twice only once.
    headers = {"Message-ID": f"<{claimed.key}@ninjacam>"}
    message = EmailMessage(subject, "\n".join(lines), settings.DEFAULT_FROM_EMAIL, headers=headers)
    with contextlib.suppress(NotFoundError):
        _at_ns, jpeg = read_snapshot(event)
        message.attach("snapshot.jpg", jpeg, "image/jpeg")
    return message


def _local(time: datetime) -> str:
    return date(timezone.localtime(time), "Y-m-d H:i:s T")
