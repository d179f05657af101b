"""What a template needs to put a player into a page."""

from collections.abc import Mapping

from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

STRINGS_ID = "ninjacam-strings"


def player_strings() -> dict[str, str]:
    """What the player says, in the language of the request. The keys are those of static/ninjacam/player/strings.js."""
    return {
        "idle": "",
        "connecting": _("Connecting …"),
        "live": _("Live"),
        "stalled": _("No new pictures from the camera …"),
        "reconnecting": _("Reconnecting …"),
        "failed": _("No picture from this camera."),
        "disabled": _("This camera is switched off."),
        "unknown": _("The camera engine is not running."),
        "error": _("This camera cannot be shown."),
        "forbidden": _("You may not view this camera."),
        "not_found": _("There is no such camera."),
        "view_not_found": _("This camera has no such view."),
        "not_authenticated": _("Your session has ended. Log in again."),
        "limit": _("Too many viewers at the moment."),
        "cannot_play": _("This browser cannot play this camera."),
        "not_wrapped": _("This server does not serve live video."),
        "blocked": _("Press to play."),
        "view_failed": _("This view has an error:"),
        "age_live": _("live {age}"),
        "age_old": _("age {age}"),
        "camera": _("Camera {camera}"),
        "camera_view": _("Camera {camera}, {view}"),
        "seeking": _("Looking for the recording …"),
        "playing": _("Recording"),
        "paused": _("Paused"),
        "gap": _("Nothing was recorded at this time."),
        "ended": _("Nothing was recorded since."),
        "skipped": _("Nothing was recorded until {time}."),
        "pictures_only": _(
            "This browser cannot play the codec of this recording: single pictures are shown."
        ),
        "timeline": _("Time of the recording"),
        "timeline_failed": _("The timeline cannot be loaded; it is tried again."),
        "no_event": _("There is no further event in sight."),
        "too_long": _("At most an hour can be downloaded at once."),
        "exporting": _("Export: {state}"),
        "export_done": _("Download the export"),
        "snapshot": _("Save a picture"),
        "fullscreen": _("Full screen"),
    }


def state_label(state: str) -> str:
    """A camera's state in a word or two, as the player says it."""
    return player_strings().get(state, state).rstrip(" ….")


def render_player_script() -> SafeString:
    """The module and its translations, once for a page."""
    return format_html(
        '{}<script type="module" src="{}"></script>',
        json_script(player_strings(), STRINGS_ID),
        static("ninjacam/player/player.js"),
    )


def render_player(slug: str, attributes: Mapping[str, object]) -> SafeString:
    """The element. `attributes`: True for one without a value, False or None to leave it out; `_` becomes `-`."""
    pairs = {"camera": slug, "base": reverse("ninjacam:wall"), **attributes}
    rendered = format_html_join(
        "",
        ' {}="{}"',
        (
            (name.replace("_", "-"), "" if value is True else value)
            for name, value in pairs.items()
            if value not in (None, False)
        ),
    )
    return format_html("<ninjacam-player{}></ninjacam-player>", rendered)
