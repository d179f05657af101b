"""Checks that several actions share."""

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, InvalidError
from ninjacam.models import Camera, Role


def require_configure(actor: Actor, camera: Camera) -> None:
    """Raises: ForbiddenError."""
    if not actor.may(Role.CONFIGURE, camera):
        raise ForbiddenError(
            _("You are not allowed to change the camera “%(slug)s”.") % {"slug": camera.slug}
        )


def invalid(error: ValidationError) -> InvalidError:
    """Return our error for a model's validation error."""
    fields = {name: list(messages) for name, messages in error.message_dict.items()}
    first = next(iter(fields.items()), ("", [_("A value is invalid.")]))
    prefix = "" if first[0] in {"", NON_FIELD_ERRORS} else f"{first[0]}: "
    return InvalidError(prefix + first[1][0], fields)
