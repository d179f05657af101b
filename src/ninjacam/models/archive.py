"""Keeps recordings, events and exports apart when cameras are removed, added and renamed.

The short name of a camera is also the name of its recordings directory, so the index can be rebuilt from the files
alone. The data of a deleted camera keeps that name until another camera takes it. It is then renamed ("door-old"),
so that the new camera never inherits it. Not here: who may do this (`ninjacam.actions`).
"""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Concat, Substr

from ninjacam.conf import get_settings
from ninjacam.recordings.layout import iter_paths

logger = logging.getLogger("ninjacam.models")

MAX_SLUG = 50


def has_left(slug: str) -> bool:
    """Return whether there are recordings, events or exports with this name."""
    from ninjacam.models.event import Event
    from ninjacam.models.export import Export
    from ninjacam.models.segment import Segment

    return any(model.objects.filter(slug=slug).exists() for model in (Segment, Event, Export))


def set_aside(slug: str, is_camera: Callable[[str], bool]) -> str:
    """Rename the data of a deleted camera and return its new name; "" if there is none.

    That includes files under this name that the index does not know: they were never this camera's.
    `is_camera`: returns whether a camera has this name.
    """
    if not has_left(slug) and not any(iter_paths(get_settings().recordings_dir, slug)):
        return ""
    name = _free_name(slug, is_camera)
    move(slug, name)
    return name


def move(old: str, new: str) -> None:
    """Rename recordings, events and exports. The directory is renamed when the transaction is committed."""
    from ninjacam.models.event import Event
    from ninjacam.models.event_call import EventCall
    from ninjacam.models.export import Export
    from ninjacam.models.ongoing import end_of_camera
    from ninjacam.models.segment import Segment
    from ninjacam.models.snapshot import Snapshot

    with transaction.atomic():
        path = Concat(Value(new), Substr("path", len(old) + 1))
        Segment.objects.filter(slug=old, path__startswith=f"{old}/").update(slug=new, path=path)
        # The engine and processors know them by the old name. They create new ones for what continues.
        end_of_camera(old)
        Event.objects.filter(slug=old).update(slug=new)
        Snapshot.objects.filter(slug=old).update(slug=new)
        EventCall.objects.filter(slug=old).update(slug=new)
        Export.objects.filter(slug=old).update(slug=new)
        root = get_settings().recordings_dir
        transaction.on_commit(lambda: _move_directory(root, old, new))


def _move_directory(root: Path, old: str, new: str) -> None:
    try:
        (root / old).rename(root / new)
    except FileNotFoundError:
        pass  # There are no recordings.
    except OSError as exc:
        logger.error(  # noqa: TRY400 (a sentence for a person)
            "The directory %s could not be renamed to %s: %s. Rename it, then run `ninjacam index --rebuild`.",
            root / old,
            root / new,
            exc.strerror,
        )


def _free_name(slug: str, is_camera: Callable[[str], bool]) -> str:
    root = get_settings().recordings_dir
    for number in itertools.count(1):
        ending = "-old" if number == 1 else f"-old-{number}"
        name = slug[: MAX_SLUG - len(ending)] + ending
        if not (is_camera(name) or has_left(name) or (root / name).exists()):
            return name
    raise AssertionError
