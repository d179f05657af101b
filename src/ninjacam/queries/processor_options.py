"""The options of processors for one camera: their schemas, as the engine reports them, and the values that were set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import NotFoundError
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import Status, read_status


@dataclass(frozen=True, slots=True)
class ProcessorOptions:
    """The options of one processor. `module`: where the processor is defined. `schema`: JSON Schema of the options.
    `values`: those that were set for the camera; others have the default. `problems`: name of an option -> why its
    value is not used, as of the processor's last start."""

    processor: str
    module: str
    description: str
    schema: Mapping[str, Any]
    values: Mapping[str, Any]
    problems: Mapping[str, str]


def list_options(actor: Actor, slug: str) -> list[ProcessorOptions]:
    """Return the options of the camera's processors that have any. Raises: NotFoundError, ForbiddenError."""
    return options_of(get_camera(actor, slug, Role.CONFIGURE), read_status())


def get_options(actor: Actor, slug: str, processor: str) -> ProcessorOptions:
    """Return the options of a processor. Raises: NotFoundError, also if no running engine reports a processor of
    this name with options; ForbiddenError."""
    for found in list_options(actor, slug):
        if found.processor == processor:
            return found
    raise NotFoundError(_("The camera has no processor “%(name)s” with options.") % {"name": processor})


def options_of(camera: Camera, status: Status) -> list[ProcessorOptions]:
    """Return the options of the camera's processors. The caller has checked the permission."""
    reports = status.views.get(camera.slug, {})
    stored = camera.processor_options or {}
    return [
        ProcessorOptions(
            processor=str(each["name"]),
            module=str(each.get("module", "")),
            description=str(each.get("description", "")),
            schema=each["options"],
            values=stored.get(each["name"], {}),
            problems=reports.get(each["name"], {}).get("option_problems", {}),
        )
        for each in status.processors_of(camera.slug)
        if each.get("options")
    ]
