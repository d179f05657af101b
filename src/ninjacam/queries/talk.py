"""Whether users can talk to a camera, as far as known from its responses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from ninjacam.languages import translate
from ninjacam.models import Camera
from ninjacam.sources.registry import speaks_rtsp


@dataclass(frozen=True, slots=True)
class TalkAbility:
    """The ability of a camera to receive audio. `state`: "unknown" until a user talks. `reason`: a sentence, if it
    is "no"."""

    state: Literal["unknown", "yes", "no"]
    reason: str = ""


def talk_ability(camera: Camera, report: Mapping[str, Any]) -> TalkAbility:
    """Return the ability. `report`: of the camera, as `Status.camera` returns it."""
    if not speaks_rtsp(camera.url):
        return TalkAbility("no", _("You can talk to cameras with an RTSP address only."))
    found = report.get("talk")
    return TalkAbility(found["state"], translate(found["reason"])) if found else TalkAbility("unknown")
