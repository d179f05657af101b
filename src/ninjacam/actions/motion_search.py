"""Search the recordings of a camera for motion in a region. A separate process decodes their key frames."""

import json

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ninjacam.actions.child_processes import UserSlots, run_module
from ninjacam.auth import Actor
from ninjacam.backtest.movements import WARM_UP_NS, MotionSearch, Region
from ninjacam.conf import get_settings
from ninjacam.core.errors import LimitError, RecordingError
from ninjacam.core.texts import gettext_noop
from ninjacam.models import Role, Segment
from ninjacam.queries.cameras import get_recorded

BUDGET_S = 15.0
"""Seconds after which a search ends with the results found so far."""
TIMEOUT_S = 60.0
MAX_FILES = 50_000
AT_ONCE = 1
"""Searches at once per web worker: each uses all cores."""
_MODULE = "ninjacam.processes.motion_search_job"
_SLOTS = UserSlots(
    AT_ONCE,
    own=gettext_lazy("You are already searching for motion. Try again when that search has ended."),
    others=gettext_lazy("Another user is searching for motion. Try again in a few seconds."),
)


def search_motion(actor: Actor, slug: str, start_ns: int, end_ns: int, region: Region) -> MotionSearch:
    """Return the movements of [start, end), or of the part that is searched within BUDGET_S. Blocks.

    Requires the role `replay`. Raises: NotFoundError, ForbiddenError; LimitError: too many searches, or the disk is
    too slow; RecordingError: the process has ended.
    """
    get_recorded(actor, slug, Role.REPLAY)
    root = get_settings().recordings_dir
    rows = Segment.objects.overlapping([slug], start_ns - WARM_UP_NS, end_ns)[:MAX_FILES]
    files = [(str(root / row.path), row.start_ns, row.end_ns) for row in rows]
    if not files:
        return MotionSearch(searched_until_ns=end_ns)
    question = {
        "files": files,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "region": region,
        "budget_s": BUDGET_S,
    }
    with _SLOTS.take(getattr(actor, "user", None)):
        printed = run_module(_MODULE, json.dumps(question).encode(), TIMEOUT_S, bare=True)
    if printed is None:
        raise LimitError(_("The search took too long. Choose a shorter time span."))
    try:
        found = MotionSearch.from_dict(json.loads(printed))
    except (ValueError, KeyError, TypeError) as exc:
        raise RecordingError(
            gettext_noop("The recordings could not be searched. The log of the server may say why.")
        ) from exc
    if len(files) == MAX_FILES:
        found.searched_until_ns = min(found.searched_until_ns, files[-1][2])
    return found
