"""Change the options of a camera's processors. A vision worker checks them, and applies them within a second or two."""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError, ProcessorError
from ninjacam.core.options import MAX_VALUES_BYTES
from ninjacam.models import Camera
from ninjacam.queries.processor_options import ProcessorOptions, get_options
from ninjacam.vision.options import CheckedValues, check_values


@audited
def set_options(actor: Actor, slug: str, processor: str, changes: Mapping[str, Any]) -> ProcessorOptions:
    """Set some options of a processor for one camera; None: back to the default. Blocks for up to 6 s.

    Raises: NotFoundError, ForbiddenError; InvalidError: with a message for each option that does not fit;
    StreamUnavailableError: no vision worker runs.
    """
    present = get_options(actor, slug, processor)
    wanted = _merge(present.values, changes)
    if len(json.dumps(wanted)) > MAX_VALUES_BYTES:
        raise InvalidError.of(
            "values", _("Options have at most %(size)d KB.") % {"size": MAX_VALUES_BYTES >> 10}
        )
    try:
        checked = check_values(get_settings().run_dir, processor, wanted)
    except ProcessorError as error:
        raise InvalidError.of("values", error.message) from error
    _check(checked, changes)
    with transaction.atomic():
        camera = Camera._base_manager.select_for_update().get(slug=slug)
        stored = dict(camera.processor_options or {})
        stored[processor] = _merge(stored.get(processor, {}), changes)
        camera.processor_options = {name: values for name, values in stored.items() if values} or None
        camera.save(update_fields=["processor_options", "updated_at"])
    record(actor, "processor.options", slug, processor=processor, options=sorted(changes))
    return get_options(actor, slug, processor)


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _check(checked: CheckedValues, changes: Mapping[str, Any]) -> None:
    """Raises: InvalidError. Problems of values that were set earlier do not prevent a change."""
    fields = {name: [text] for name, text in checked.problems.items() if changes.get(name) is not None}
    if fields:
        name, texts = next(iter(fields.items()))
        raise InvalidError(f"{name}: {texts[0]}", fields)
