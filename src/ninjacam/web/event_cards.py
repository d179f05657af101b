"""Events as cards: what templates need to show an event with its image, its clip and a link to its recording."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.auth import Principal
from ninjacam.core.times import to_datetime
from ninjacam.models import Camera, Event, SeenEvent
from ninjacam.queries.cameras import list_recorded
from ninjacam.routes import ROUTES_BY_NAME

MAX_NAMES = 10
"""Maximum number of names of users who have seen an event."""
BEFORE_NS, AFTER_NS = 2 * 10**9, 3 * 10**9
"""What a clip shows before the start and after the end of an event."""
MAX_CLIP_NS = 20 * 10**9


@dataclass(frozen=True, slots=True)
class Card:
    """One event. `title`: its label, or its kind in words. `duration`: minutes and seconds, such as 0:08; "" for a
    moment and while it is ongoing. `clip_url`: "" if the camera is unknown, as for events of the host. `seen`: by this
    user.
    """

    event: Event
    camera_name: str
    title: str
    duration: str
    page_url: str
    clip_url: str
    snapshot_url: str
    seen: bool
    seen_by: str

    @property
    def start(self) -> datetime:
        return timezone.localtime(self.event.start)


def camera_names(principal: Principal) -> dict[str, str]:
    """Return the name of each camera whose recordings the user may see, by slug."""
    names = {camera.slug: str(camera) for camera in Camera.objects.all()}
    return {slug: names.get(slug, slug) for slug in list_recorded(principal, [])}


def make_cards(principal: Principal, events: list[Event], names: dict[str, str]) -> list[Card]:
    """`events`: those that the user may see. `names`: of the cameras, by slug."""
    seen = SeenEvent.objects.names(events)
    me = principal.user.get_username()
    present = set(
        Camera.objects.filter(slug__in={event.slug for event in events}).values_list("slug", flat=True)
    )
    return [
        _card(event, names, seen.get(event.pk, []), me, is_present=event.slug in present) for event in events
    ]


def _card(event: Event, names: dict[str, str], seen: list[str], me: str, *, is_present: bool) -> Card:
    at = time_text(
        event.start_ns if event.best_ns is None else max(event.start_ns, event.best_ns - BEFORE_NS)
    )
    if is_present:
        page_url = f"{reverse('ninjacam:camera', args=[event.slug])}?{urlencode({'time': at})}"
    else:
        page_url = (
            f"{reverse('ninjacam:replay')}?{urlencode({'camera': event.slug, 'time': at})}"
            if event.slug
            else ""
        )
    return Card(
        event=event,
        camera_name=names.get(event.slug, event.slug) or _("This server"),
        title=event.label or event.kind.replace("_", " "),
        duration=_duration(event),
        page_url=page_url,
        clip_url=_clip_url(event) if event.slug else "",
        snapshot_url=reverse("ninjacam-api:get_event_snapshot", args=[event.pk]) if event.snapshot_ns else "",
        seen=me in seen,
        seen_by=", ".join(seen[:MAX_NAMES]) + (", …" if len(seen) > MAX_NAMES else ""),
    )


def _clip_url(event: Event) -> str:
    """Return the address of at most MAX_CLIP_NS of the recording: of the event's start, or around its best moment."""
    start_ns = event.start_ns - BEFORE_NS
    end_ns = event.start_ns + MAX_CLIP_NS if event.end_ns is None else event.end_ns + AFTER_NS
    if end_ns - start_ns > MAX_CLIP_NS:
        if event.best_ns is not None:
            start_ns = min(max(start_ns, event.best_ns - MAX_CLIP_NS // 2), end_ns - MAX_CLIP_NS)
        end_ns = start_ns + MAX_CLIP_NS
    query = urlencode({"start": time_text(start_ns), "end": time_text(end_ns), "partial": 1})
    return f"{ROUTES_BY_NAME['rec-clip'].path(event.slug)}?{query}"


def time_text(time_ns: int) -> str:
    """Return the time as the API takes it."""
    return to_datetime(time_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(event: Event) -> str:
    seconds = 0 if event.end_ns is None else (event.end_ns - event.start_ns) // 10**9
    if not seconds:
        return ""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
