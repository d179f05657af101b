"""The values of processors over time. Users with the role `replay` for a camera read them."""

from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import NotFoundError
from ninjacam.core.processor_values import SLOT_S
from ninjacam.models import Role, ValueSeries
from ninjacam.queries.cameras import get_camera

MAX_POINTS: Final = 2000


def list_series(actor: Actor, slug: str) -> "QuerySet[ValueSeries]":
    """Return the values of a camera, by processor and name. Raises: NotFoundError, ForbiddenError."""
    camera = get_camera(actor, slug, Role.REPLAY)
    return ValueSeries.objects.filter(camera=camera).order_by("processor", "name")


def get_series(actor: Actor, slug: str, processor: str, name: str) -> ValueSeries:
    """Raises: NotFoundError, ForbiddenError."""
    series = list_series(actor, slug).filter(processor=processor, name=name).first()
    if series is None:
        values = {"processor": processor[:50], "name": name[:32]}
        raise NotFoundError(_("The processor “%(processor)s” has stored no value “%(name)s”.") % values)
    return series


@dataclass(frozen=True, slots=True)
class ValuePoint:
    """The numbers of one step: minimum, mean, maximum and count. `start_s`: seconds since 1970."""

    start_s: int
    minimum: float
    mean: float
    maximum: float
    count: int


@dataclass(frozen=True, slots=True)
class ValueHistory:
    """The points of a time span, oldest first; steps without numbers have none. `step_s`: seconds of a step."""

    step_s: int
    points: list[ValuePoint]


def read_values(series: ValueSeries, start_ns: int, end_ns: int, max_points: int) -> ValueHistory:
    """Return the values of [start, end), from the slot that contains the start. `max_points`: from 2."""
    start_s, end_s = start_ns // 10**9 // SLOT_S * SLOT_S, -(-end_ns // 10**9)
    step_s = max(1, -(-(end_s - start_s) // ((max_points - 1) * SLOT_S))) * SLOT_S
    points = [
        ValuePoint(at_s, each.minimum, each.total / each.count, each.maximum, each.count)
        for at_s, each in series.slots.summarize(start_s, end_s, step_s)
    ]
    return ValueHistory(step_s, points)
