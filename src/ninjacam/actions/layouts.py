"""Save and delete layouts of the wall. Each user has their own; those who may add cameras share some with all users."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, InvalidError, NotFoundError, QuotaError
from ninjacam.models import WallLayout
from ninjacam.models.wall_layout import MAX_LAYOUTS
from ninjacam.queries.cameras import list_cameras


def may_share(who: Principal) -> bool:
    return who.may_all("add_camera", "configure")


def get_own_layout(who: Principal, layout_id: int) -> WallLayout:
    """Raises: NotFoundError, also if it belongs to another user."""
    layout = WallLayout.objects.filter(pk=layout_id, owner_id=who.user.pk).first()
    if layout is None:
        raise NotFoundError(_("You have no such layout."))
    return layout


@audited
def save_layout(
    who: Principal, layout: WallLayout | None, *, name: str, slugs: Iterable[str], shared: bool
) -> WallLayout:
    """Create a layout, or change one of the user's own. `slugs`: in the order of the wall; those of cameras that the
    user may not view are left out.

    Raises: InvalidError: also if the name is in use; ForbiddenError: not allowed to share; QuotaError.
    """
    if shared and not may_share(who):
        raise ForbiddenError(_("You are not allowed to share layouts."))
    visible = {camera.slug: camera.pk for camera in list_cameras(who)}
    cameras = [visible[slug] for slug in dict.fromkeys(slugs) if slug in visible]
    if not cameras:
        raise InvalidError.of("cameras", _("Choose at least one camera."))
    try:
        return _save(who, layout, name.strip(), cameras, shared=shared)
    except IntegrityError as error:  # A second request has saved this name meanwhile.
        raise InvalidError.of("name", _("You already have a layout of this name.")) from error


def _save(
    who: Principal, layout: WallLayout | None, name: str, cameras: list[int], *, shared: bool
) -> WallLayout:
    with transaction.atomic():
        if layout is None:
            if WallLayout.objects.filter(owner_id=who.user.pk).count() >= MAX_LAYOUTS:
                raise QuotaError(_("You have too many layouts. Delete one first."))
            layout = WallLayout(owner_id=who.user.pk)
        layout.name, layout.cameras, layout.shared = name, cameras, shared
        try:
            layout.full_clean()
        except ValidationError as error:
            raise invalid(error) from error
        layout.save()
    record(who, "layout.save", layout.name, shared=shared)
    return layout


@audited
def delete_layout(who: Principal, layout: WallLayout) -> None:
    layout.delete()
    record(who, "layout.delete", layout.name)
