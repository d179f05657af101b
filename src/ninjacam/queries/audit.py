"""The audit log, for administrators."""

from collections.abc import Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from ninjacam.auth import Principal
from ninjacam.models import AuditEntry, AuditEntryQuerySet
from ninjacam.queries.users import require_administrator


class AuditFilter(TypedDict):
    """`verb`: such as "camera.update". `until`: exclusive."""

    user: NotRequired[str]
    verb: NotRequired[str]
    camera: NotRequired[str]
    since: NotRequired[datetime]
    until: NotRequired[datetime]


def list_audit_entries(who: Principal, wanted: AuditFilter) -> AuditEntryQuerySet:
    """Return the entries that match all conditions, in no order. Raises: ForbiddenError."""
    require_administrator(who)
    found = AuditEntry.objects.order_by()
    if user := wanted.get("user"):
        found = found.of_user(user)
    conditions: Mapping[str, object] = {
        "verb": wanted.get("verb"),
        "camera": wanted.get("camera"),
        "at__gte": wanted.get("since"),
        "at__lt": wanted.get("until"),
    }
    return found.filter(**{name: value for name, value in conditions.items() if value})


def list_verbs(who: Principal) -> list[str]:
    """Return the actions that occur. Raises: ForbiddenError."""
    require_administrator(who)
    return list(AuditEntry.objects.order_by("verb").values_list("verb", flat=True).distinct())


def list_cameras_in_log(who: Principal) -> list[str]:
    """Return the short names of the cameras that occur, including deleted ones. Raises: ForbiddenError."""
    require_administrator(who)
    found = AuditEntry.objects.exclude(camera="").order_by("camera").values_list("camera", flat=True)
    return list(found.distinct())
