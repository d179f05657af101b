"""The requested encodings of the views at one socket. Not here: making them (`ninjacam.vision.views`)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ninjacam.core.errors import ViewNotFoundError
from ninjacam.core.packets import Codec, StreamInfo
from ninjacam.core.processors import When
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.vision.chains import preceding_views
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.context import Variant

MAX_VARIANTS = 8
"""Maximum number of encodings of one view in one codec. A client that requests another one gets the nearest of them, so
no client can exclude the others by requesting many.
"""


class Variants:
    """The encodings at one `.pixels` socket, each with its channel. Thread: the event loop.

    `code`: the processors whose views this socket offers; None: only the stream's own frames. `describe(request)`:
    returns the description for subscribers. `on_demand(request)`: its number of subscribers has changed.
    """

    def __init__(
        self,
        slug: str,
        camera_id: int,
        code: ProcessorCode | None,
        *,
        describe: Callable[[StreamRequest], StreamInfo],
        on_demand: Callable[[StreamRequest], None],
    ) -> None:
        self._slug = slug
        self._camera_id = camera_id
        self._code = code
        self._describe = describe
        self._on_demand = on_demand
        self._by_request: dict[StreamRequest, Variant] = {}
        self._unwatched: dict[str, Variant] = {}
        self.may_wake = True
        """Whether views may be made without viewers. A camera that sleeps must not be woken for them."""

    def find_channel(self, request: StreamRequest) -> Channel:
        """Raises: ViewNotFoundError, which is sent to the subscriber."""
        request = replace(request.snapped(), audio=False)
        if request.codec is Codec.ANNOTATIONS:
            request = StreamRequest(request.view, request.codec)
        views = self._code.views(self._slug) if self._code is not None else []
        if request.view and request.view not in views:
            if self._code is not None and self._code.is_off(self._slug, request.view):
                raise ViewNotFoundError(
                    f"The active profile switches the processor {request.view!r} off for the camera "
                    f"{self._slug!r}. Activate another profile."
                )
            known = ", ".join(views) or "none"
            raise ViewNotFoundError(
                f"The camera {self._slug!r} has no view {request.view!r}. Its processors are: {known}."
            )
        if request.codec not in (Codec.MJPEG, Codec.H264, Codec.ANNOTATIONS):
            raise ViewNotFoundError("Views are available as MJPEG, H.264 or annotations.")
        variant = self._by_request.get(request) or self._nearest(request)
        if variant is None:
            channel = Channel(
                self._describe(request),
                camera_id=self._camera_id,
                on_demand=lambda _: self._on_demand(request),
            )
            variant = self._by_request[request] = Variant(request, channel)
        return variant.channel

    def close_views_off(self) -> None:
        """Disconnect the viewers of processors that are switched off."""
        for request, variant in list(self._by_request.items()):
            if self._code is not None and self._code.is_off(self._slug, request.view):
                variant.channel.close()

    def _nearest(self, request: StreamRequest) -> Variant | None:
        """Return the nearest encoding, if there are enough encodings of this view."""
        same = [
            variant
            for other, variant in self._by_request.items()
            if (other.view, other.codec) == (request.view, request.codec)
        ]
        if len(same) < MAX_VARIANTS:
            return None
        return min(same, key=lambda variant: _distance(variant.request, request))

    def count_subscribers(self, request: StreamRequest) -> int:
        """Return the number of subscribers of a variant. A variant without subscribers is removed."""
        variant = self._by_request.get(request)
        if variant is None:
            return 0
        if not variant.channel.subscribers:
            del self._by_request[request]
        return variant.channel.subscribers

    def wanted(self) -> Iterator[Variant]:
        """Yield the variants to make. Views that are always made, and those that run before others in a chain, have
        variants of their own, without subscribers.
        """
        variants = list(self._requested())
        waiting = set(self._views_made("motion"))
        for variant in variants:
            variant.waits_for_motion = variant.request.view in waiting and not variant.is_video
        before, self._unwatched = self._unwatched, {}
        for view, waits in self._views_without_viewers(variants, waiting).items():
            unwatched = self._unwatched[view] = before.get(view) or self._make_unwatched(view)
            unwatched.waits_for_motion = waits
        yield from self._unwatched.values()
        yield from variants

    def _views_made(self, when: When) -> list[str]:
        return self._code.made(self._slug, when) if self._code is not None and self.may_wake else []

    def _views_without_viewers(self, variants: Iterable[Variant], waiting: set[str]) -> dict[str, bool]:
        """Return view -> whether it waits for motion. One that precedes others waits if all of these do."""
        if self._code is None:
            return {}
        always = self._views_made("always")
        watched = {each.request.view for each in variants if not each.waits_for_motion}
        current = self._code.current
        found = dict.fromkeys(waiting, True)
        for view in waiting:
            found |= dict.fromkeys(preceding_views(current, view, self._slug), True)
        found |= dict.fromkeys(always, False)
        for view in (*always, *watched):
            found |= dict.fromkeys(preceding_views(current, view, self._slug), False)
        return found

    def _requested(self) -> Iterator[Variant]:
        """Yield the variants with subscribers. The recorder names no view and gets the annotations of all views that
        are recorded.
        """
        for request, variant in self._by_request.items():
            if variant.is_video or request.view:
                yield variant
                continue
            for view in self._code.recorded(self._slug) if self._code is not None else ():
                yield Variant(replace(request, view=view), variant.channel)

    def _make_unwatched(self, view: str) -> Variant:
        request = StreamRequest(view, Codec.ANNOTATIONS)
        return Variant(request, Channel(self._describe(request)), has_output=False)

    def count_encodings(self, view: str) -> int:
        return sum(request.view == view and each.is_video for request, each in self._by_request.items())

    def describe_all(self) -> None:
        """Send changes of the stream's description to all subscribers."""
        for request, variant in self._by_request.items():
            variant.channel.set_info(self._describe(request))

    def close(self) -> None:
        for variant in list(self._by_request.values()):
            variant.channel.close()


def _distance(one: StreamRequest, other: StreamRequest) -> tuple[float, float, float]:
    """Compare size first, then frame rate, then quality; 0 means the original."""
    return (
        abs((one.width_px or 4096) - (other.width_px or 4096)),
        abs((one.max_fps or 60) - (other.max_fps or 60)),
        abs(one.quality - other.quality),
    )
