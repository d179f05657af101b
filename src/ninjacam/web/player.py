"""Functions that templates use to add a player to a page."""

from collections.abc import Mapping

from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

STRINGS_ID = "ninjacam-strings"


def player_strings() -> dict[str, str]:
    """Return the texts of the player, in the language of the request. The keys are those of
    static/ninjacam/player/strings.js."""
    return {
        "idle": "",
        "connecting": _("Connecting …"),
        "live": _("Live"),
        "stalled": _("No new frames from the camera …"),
        "reconnecting": _("Reconnecting …"),
        "asleep": _("This camera is asleep."),
        "failed": _("No video from this camera."),
        "disabled": _("This camera is disabled."),
        "unknown": _("The camera engine is not running."),
        "error": _("This camera cannot be shown."),
        "forbidden": _("You may not view this camera."),
        "not_found": _("This camera does not exist."),
        "view_not_found": _("This camera has no such view."),
        "not_authenticated": _("Your session has ended. Log in again."),
        "limit": _("Too many viewers at the moment."),
        "cannot_play": _("This browser cannot play this camera."),
        "not_wrapped": _("This server does not serve live video."),
        "blocked": _("Press to play."),
        "view_failed": _("Error in this view:"),
        "age_live": _("live {age}"),
        "age_old": _("age {age}"),
        "camera": _("Camera {camera}"),
        "camera_view": _("Camera {camera}, {view}"),
        "seeking": _("Searching the recording …"),
        "playing": _("Recording"),
        "paused": _("Paused"),
        "gap": _("Nothing was recorded at this time."),
        "ended": _("Nothing was recorded after this time."),
        "skipped": _("Nothing was recorded until {time}."),
        "stills_only": _("This browser cannot play the codec of this recording. It shows single frames."),
        "timeline": _("Time of the recording"),
        "timeline_failed": _("The timeline cannot be loaded. Retrying …"),
        "no_event": _("There are no further events."),
        "too_long": _("Downloads are limited to one hour."),
        "exporting": _("Export: {state}"),
        "export_done": _("Download the export"),
        "snapshot": _("Save an image"),
        "fullscreen": _("Full screen"),
    }


def state_label(state: str) -> str:
    """Return a camera's state in a few words, as in the player."""
    return player_strings().get(state, state).rstrip(" ….")


def render_player_script() -> SafeString:
    """Return the script of the player and its translations. Use it once per page."""
    return format_html(
        '{}<script type="module" src="{}"></script>',
        json_script(player_strings(), STRINGS_ID),
        static("ninjacam/player/player.js"),
    )


def render_player(slug: str, attributes: Mapping[str, object]) -> SafeString:
    """Return the player element. `attributes`: True for one without a value, False or None to omit it; `_` becomes
    `-`."""
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
