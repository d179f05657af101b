"""Under which short name recordings, events and exports are found, when cameras come, go and are renamed.

The short name of a camera also names the directory of its recordings, so the index can be rebuilt from the files alone.
What a deleted camera has left keeps its name until another camera takes that name. Then it is set aside under a name of
its own ("door-old"), so the new camera never inherits it. Not here: who may do this (`ninjacam.actions`).
"""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Concat, Substr

from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK

logger = logging.getLogger("ninjacam.recordings")

MAX_SLUG = 50


def has_left(slug: str) -> bool:
    """Whether there are recordings, events or exports under this name."""
    from ninjacam.models.event import Event
    from ninjacam.models.export import Export
    from ninjacam.models.segment import Segment

    return any(model.objects.filter(slug=slug).exists() for model in (Segment, Event, Export))


def set_aside(slug: str, is_camera: Callable[[str], bool]) -> str:
    """Give what a deleted camera has left another name, and return it; "" where there is nothing.

    `is_camera`: whether a name is a camera's.
    """
    if not has_left(slug):
        return ""
    name = _free_name(slug, is_camera)
    move(slug, name)
    return name


def move(old: str, new: str) -> None:
    """Rename recordings, events and exports. The directory follows when the transaction is committed."""
    from ninjacam.models.event import ENGINE, Event
    from ninjacam.models.export import Export
    from ninjacam.models.segment import Segment

    with transaction.atomic():
        path = Concat(Value(new), Substr("path", len(old) + 1))
        Segment.objects.filter(slug=old, path__startswith=f"{old}/").update(slug=new, path=path)
        # The engine knows them by the old name, so it cannot end them; if they are ongoing, it begins new ones.
        Event.objects.filter(slug=old, source=ENGINE, end_ns=None).update(end_ns=SYSTEM_CLOCK.wall_ns())
        Event.objects.filter(slug=old).update(slug=new)
        Export.objects.filter(slug=old).update(slug=new)
        root = get_settings().recordings_dir
        transaction.on_commit(lambda: _move_directory(root, old, new))


def _move_directory(root: Path, old: str, new: str) -> None:
    try:
        (root / old).rename(root / new)
    except FileNotFoundError:
        pass  # nothing was recorded
    except OSError as exc:
        logger.error(  # noqa: TRY400 (a sentence for a person)
            "The directory %s could not be moved to %s: %s. Move it, then run `ninjacam index --rebuild`.",
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
