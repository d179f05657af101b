"""Search of events by words: maps the words to a vector in a process of its own, and finds the most similar events."""

import json
import threading
from collections import OrderedDict

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ninjacam.actions.child_processes import UserSlots, run_module
from ninjacam.auth import Principal
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError, ModelError, SearchUnavailableError
from ninjacam.inference.search_models import SearchModel, find_search_model
from ninjacam.inference.trial import parse_answer
from ninjacam.models import Event
from ninjacam.models.event import EventQuerySet
from ninjacam.queries.similarity import Vector, find_similar

MAX_CHARS = 200
MAX_KEPT = 256
"""Maximum number of vectors of texts that a web worker keeps."""
TIMEOUT_S = 60.0
AT_ONCE = 2
"""Maximum number of processes of a web worker that map a text: each loads the network."""
_MODULE = "ninjacam.inference.search_child"
_SLOTS = UserSlots(
    AT_ONCE,
    own=gettext_lazy("Another search of yours is still running. Wait until it has finished."),
    others=gettext_lazy("Too many searches are running. Try again in a few seconds."),
)
_kept: OrderedDict[tuple[str, str], Vector] = OrderedDict()
_kept_lock = threading.Lock()


def is_search_possible() -> bool:
    """Return whether a model for the search by words is installed."""
    return find_search_model(get_settings().models_dir) is not None


def search_events(who: Principal, found: EventQuerySet, text: str, limit: int) -> list[tuple[Event, float]]:
    """Return up to `limit` of the events in `found`, the one whose snapshot fits the text best first, each with the
    similarity. `found`: events that `who` may see. Blocks for seconds if the text is new.

    Raises: InvalidError: the text is empty, too long or not plain; SearchUnavailableError: there is no model, or it
    does not work; LimitError: too many searches at once.
    """
    words = " ".join(text.split())
    if not words or len(words) > MAX_CHARS or not words.isprintable():
        raise InvalidError.of("search", _("Use 1 to %(count)d characters.") % {"count": MAX_CHARS})
    model = find_search_model(get_settings().models_dir)
    if model is None:
        raise SearchUnavailableError(
            _(
                "No model for the search by words is installed. Add one with `ninjacam models add --text`, as the "
                "page “Models” of the documentation explains."
            )
        )
    return find_similar(found, model.spec.version, _vector_of(who, model, words), limit)


def _vector_of(who: Principal, model: SearchModel, words: str) -> Vector:
    """Raises: SearchUnavailableError, LimitError."""
    key = model.spec.version, words
    with _kept_lock:
        vector = _kept.get(key)
        if vector is not None:
            _kept.move_to_end(key)
            return vector
    with _SLOTS.take(who.user):
        question = json.dumps({"model": model.as_dict(), "text": words}).encode()
        printed = run_module(_MODULE, question, TIMEOUT_S, bare=True)
    vector = _parse(printed, model)
    with _kept_lock:
        _kept[key] = vector
        while len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    return vector


def _parse(printed: bytes | None, model: SearchModel) -> Vector:
    """Raises: SearchUnavailableError."""
    import numpy as np  # As in `queries.similarity`.

    if printed is None:
        raise SearchUnavailableError(
            _("The model “%(name)s” takes too long. Use a smaller one.") % {"name": model.name}
        )
    try:
        vector = np.array(parse_answer(printed, model.name)["vector"], np.float32)
    except ModelError as exc:
        raise SearchUnavailableError(exc.message) from exc
    except (KeyError, ValueError, TypeError) as exc:
        raise SearchUnavailableError(
            _("The model “%(name)s” does not work. Remove it, and add it again.") % {"name": model.name}
        ) from exc
    if vector.shape != (model.spec.dimensions,) or not np.isfinite(vector).all():
        raise SearchUnavailableError(
            _("The model “%(name)s” does not work. Remove it, and add it again.") % {"name": model.name}
        )
    return vector
