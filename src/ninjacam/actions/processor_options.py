"""Change the options of a camera's processors. A vision worker applies them within a second or two.

The user's model checks them in a separate process, because web workers run no user code.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ninjacam.actions.audit import audited, record
from ninjacam.actions.child_processes import UserSlots, run_module
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError
from ninjacam.core.json_values import MAX_DEPTH, is_plain
from ninjacam.core.options import MAX_VALUES_BYTES
from ninjacam.models import Camera
from ninjacam.queries.processor_options import ProcessorOptions, get_options

CHECK_S = 15.0
"""Seconds to import the module of the processor, and for its validators."""
AT_ONCE = 2
"""Maximum number of checks per web worker: each takes a process, which imports OpenCV."""
_MODULE = "ninjacam.processes.options_check"
_SLOTS = UserSlots(
    AT_ONCE,
    own=gettext_lazy("You are already changing options. Try again in a few seconds."),
    others=gettext_lazy("Other users are changing options. Try again in a few seconds."),
)


@audited
def set_options(actor: Actor, slug: str, processor: str, changes: Mapping[str, Any]) -> ProcessorOptions:
    """Set some options of a processor for one camera; None resets an option to its default. Blocks for up to 15 s.

    Raises: NotFoundError, ForbiddenError, LimitError; InvalidError: with a message for each invalid option.
    """
    check_options(actor, get_options(actor, slug, processor), changes)
    with transaction.atomic():
        camera = Camera._base_manager.select_for_update().get(slug=slug)
        stored = dict(camera.processor_options or {})
        stored[processor] = _merge(stored.get(processor, {}), changes)
        camera.processor_options = {name: values for name, values in stored.items() if values} or None
        camera.save(update_fields=["processor_options", "updated_at"])
    record(actor, "processor.options", slug, processor=processor, options=sorted(changes))
    return get_options(actor, slug, processor)


def check_options(actor: Actor, present: ProcessorOptions, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values that the options would have after the changes. Blocks for up to 15 s. Raises: LimitError;
    InvalidError: with a message for each invalid option.
    """
    wanted = _merge(present.values, changes)
    question = {"module": present.module, "processor": present.processor, "values": wanted}
    try:
        encoded = json.dumps(question, allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise InvalidError.of("values", _("The values cannot be written as JSON.")) from exc
    if not is_plain(changes):
        raise InvalidError.of(
            "values", _("Use plain values, nested at most %(depth)s levels deep.") % {"depth": MAX_DEPTH}
        )
    if len(encoded) > MAX_VALUES_BYTES:
        raise InvalidError.of(
            "values", _("Options have at most %(size)d KB.") % {"size": MAX_VALUES_BYTES >> 10}
        )
    with _SLOTS.take(getattr(actor, "user", None)):
        printed = run_module(_MODULE, encoded, CHECK_S, bare=False)
    _check(printed, changes)
    return wanted


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _check(printed: bytes | None, changes: Mapping[str, Any]) -> None:
    """Check the response of the process. Raises: InvalidError. Invalid values that were set earlier do not prevent a
    change."""
    if printed is None:
        raise InvalidError.of("values", _("The processor's validators did not return in time."))
    try:
        answer = json.loads(printed)
    except ValueError as exc:
        raise InvalidError.of("values", _("The processor's validators ended their process.")) from exc
    if "error" in answer:
        raise InvalidError.of("values", answer["error"])
    problems: dict[str, str] = answer["problems"]
    fields = {name: [text] for name, text in problems.items() if changes.get(name) is not None}
    if fields:
        name, texts = next(iter(fields.items()))
        raise InvalidError(f"{name}: {texts[0]}", fields)
