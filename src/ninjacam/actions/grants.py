"""Give and revoke roles. Requires `add_cameragrant` or `delete_cameragrant`, with full scope."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Actor
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError
from ninjacam.models import Camera, CameraGrant

Holder = tuple[Camera, str, Any]
"""A camera, a role, and the user or the group that has it."""


@audited
def create_grant(actor: Actor, camera: Camera, role: str, *, user: str = "", group: str = "") -> CameraGrant:
    """Give a role to either `user` or `group`, by name. Raises: ForbiddenError, InvalidError, ConflictError."""
    if not actor.may_all("add_cameragrant"):
        raise ForbiddenError(_("You are not allowed to give roles."))
    if bool(user) == bool(group):
        raise InvalidError.of("user", _("Specify either a user or a group."))
    grant = CameraGrant(camera=camera, role=role)
    if user:
        model = get_user_model()
        grant.user = model._default_manager.filter(**{model.USERNAME_FIELD: user}).first()
        if grant.user is None:
            raise InvalidError.of("user", _("No such user."))
    else:
        grant.group = Group.objects.filter(name=group).first()
        if grant.group is None:
            raise InvalidError.of("group", _("No such group."))
    same = CameraGrant.objects.filter(camera=camera, role=role, user=grant.user, group=grant.group)
    if same.exists():
        raise ConflictError(_("This role was already given."))
    try:
        grant.full_clean()
    except ValidationError as error:
        raise invalid(error) from error
    grant.save()
    record(actor, "grant.create", camera.slug, role=role, user=user, group=group)
    return grant


@audited
def delete_grant(actor: Actor, grant: CameraGrant) -> None:
    """Revoke a role. Open streams that depend on it end within NINJACAM["REAUTH_S"]. Raises: ForbiddenError."""
    if not actor.may_all("delete_cameragrant"):
        raise ForbiddenError(_("You are not allowed to revoke roles."))
    holder = {"user": str(grant.user or ""), "group": str(grant.group or "")}
    grant.delete()
    record(actor, "grant.delete", grant.camera.slug, role=grant.role, **holder)


@transaction.atomic
def change_grants(actor: Actor, given: Iterable[Holder], revoked: Iterable[Holder]) -> None:
    """Give and revoke roles, all of them or none. Those that are already as wanted stay.

    Raises: ForbiddenError, InvalidError.
    """
    for camera, role, holder in given:
        kind = "group" if isinstance(holder, Group) else "user"
        if not CameraGrant.objects.filter(camera=camera, role=role, **{kind: holder}).exists():
            name = holder.name if isinstance(holder, Group) else holder.get_username()
            create_grant(actor, camera, role, **{kind: name})
    for camera, role, holder in revoked:
        kind = "group" if isinstance(holder, Group) else "user"
        found = CameraGrant.objects.filter(camera=camera, role=role, **{kind: holder})
        for grant in found.select_related("camera", "user", "group"):
            delete_grant(actor, grant)
