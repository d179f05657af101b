"""Makes one visit of the many detections of an object. Design note: docs/design/0016-tracking.md."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ninjacam.core.annotations import Box
from ninjacam.tracking.boxes import TrackedBox, to_tracked
from ninjacam.tracking.capture_clock import (
    NS_PER_S,
    CaptureClock,
    CaptureTime,
    check_count,
    check_scores,
    to_interval_ns,
    to_ns,
)
from ninjacam.tracking.course import Course
from ninjacam.tracking.json_values import invalid_state, to_integer
from ninjacam.tracking.memory import TrackMemory
from ninjacam.tracking.parked import ParkedObjects
from ninjacam.tracking.recognition import MAX_GAP_NS, Candidate, OngoingVisit, find_again
from ninjacam.tracking.visit import BestDetection, Visit, visit_from_json, visit_to_json

MAX_ONGOING = 512
"""Maximum number of visits at a time; others begin later."""
MAX_CANDIDATE_UNSEEN_NS = 2 * NS_PER_S
"""After this time, the detections of a track that has not become a visit are forgotten."""
BETTER = 1.1
"""A detection replaces the best one if its quality is higher by this factor. Callers store an image each time."""
MAX_REPEATED_NS = 30 * NS_PER_S
"""After a restart, frames that are at most this much older than the state were in it already: decoding begins at a key
frame. Older ones are new, and the clock was set back.
"""
STATE_VERSION = 2


class VisitUpdate(NamedTuple):
    """The changes of one update. `updated`: ongoing visits whose `best` is now this frame's, or whose `is_stationary`
    has changed. The `best` of those in `started` is this frame's, too.
    """

    started: list[Visit]
    updated: list[Visit]
    ended: list[Visit]


class Visits:
    """Makes one visit of all detections of an object.

    `start_score`, `min_detections`, `min_s`: a visit starts when this many detections of a track have this score, and
    the first one is at least this many seconds ago. `continue_score`: the score from which a detection continues it.
    `end_after_s`: a visit ends when its object has not been seen for longer; an interval without frames counts at most
    1 s. `stationary_s`: an object that has stayed at its place for this time is stationary. After the visit of a
    stationary object has ended, another one starts only when it moves. `remember_s`: how long its place is remembered
    while nothing is seen there. `ends_when_stationary`: whether a visit also ends when its object becomes stationary:
    a car that parks is then one visit when it arrives and another one when it leaves.

    Not thread-safe. Raises: InvalidError: a parameter is out of range.
    """

    def __init__(
        self,
        *,
        start_score: float = 0.5,
        continue_score: float = 0.1,
        min_detections: int = 3,
        min_s: float = 0.0,
        end_after_s: float = 5.0,
        stationary_s: float = 30.0,
        remember_s: float = 120.0,
        ends_when_stationary: bool = False,
    ) -> None:
        check_scores(start_score, continue_score)
        check_count(min_detections, "min_detections", (1, 1000))
        self._start_score, self._continue_score = start_score, continue_score
        self._min_detections = min_detections
        self._min_ns = to_interval_ns(min_s, "min_s")
        self._end_after_ns = to_interval_ns(end_after_s, "end_after_s")
        self._stationary_ns = to_interval_ns(stationary_s, "stationary_s")
        self._remember_ns = to_interval_ns(remember_s, "remember_s")
        self._ends_when_stationary = ends_when_stationary
        self._clock = CaptureClock()
        self._next_id = 1
        self._ongoing: list[OngoingVisit] = []
        self._candidates = TrackMemory(Candidate)
        self._parked = ParkedObjects()
        self._restored_ns = 0

    @property
    def ongoing(self) -> list[Visit]:
        """The ongoing visits, oldest first."""
        return [each.visit for each in self._ongoing]

    def update(self, boxes: Sequence[Box], captured_at: CaptureTime) -> VisitUpdate:
        """Return the visits that have started, changed and ended since the previous update.

        `boxes`: the result of `Tracker.update`. `captured_at`: as there. Call it for each frame, also with no boxes:
        visits end with time.

        After `restore`, frames that are in the state already change nothing. When the clock is set back, visits
        continue, and their end stays where it was until the clock reaches it.

        Raises: InvalidError: a box or the time cannot be used, or a box has no track. Nothing has changed.
        """
        tracked = [each for each in to_tracked(boxes) if each.score >= self._continue_score]
        if self.has_seen(captured_at):
            return VisitUpdate([], [], [])
        self._restored_ns = 0
        self._clock.advance(captured_at)
        updated = self._continue_visits(tracked)
        candidates = self._see_candidates(tracked)
        expected = find_again(self._ongoing, self._candidates, self._clock.watched_ns, self._end_after_ns)
        started = []
        for each, candidate in candidates:
            lost = expected.get(each.track)
            if lost is None and self._is_visit(candidate):
                started.append(self._start(each, candidate))
            elif lost is not None and candidate.detections >= self._min_detections:
                lost.track = each.track
                self._candidates.remove(each.track)
                if self._continue(lost, each, candidate.detections):
                    updated.append(lost.visit)
        ended = self._end(list(expected.values()))
        return VisitUpdate(started, [visit for visit in updated if visit not in ended], ended)

    def has_seen(self, captured_at: CaptureTime) -> bool:
        """Return whether a frame is in the restored state already. Call it before `update`."""
        return self._restored_ns - MAX_REPEATED_NS <= to_ns(captured_at) <= self._restored_ns

    def _continue_visits(self, tracked: list[TrackedBox]) -> list[Visit]:
        """Add the detections of tracks that have a visit. Return the visits that have changed."""
        by_track: dict[int | None, TrackedBox] = {each.track: each for each in tracked}
        return [
            ongoing.visit
            for ongoing in self._ongoing
            if (each := by_track.get(ongoing.track)) and self._continue(ongoing, each)
        ]

    def _continue(self, ongoing: OngoingVisit, each: TrackedBox, detections: int = 1) -> bool:
        """Add a detection to a visit. Return whether it is the best one, or `is_stationary` has changed."""
        visit, was_stationary = ongoing.visit, ongoing.visit.is_stationary
        ongoing.watched_ns, ongoing.elapsed_ns = self._clock.watched_ns, self._clock.elapsed_ns
        ongoing.course.see(each.corners, self._clock.elapsed_ns)
        visit.is_stationary = self._clock.elapsed_ns - ongoing.course.still_since_ns >= self._stationary_ns
        visit.end_ns, visit.box = max(visit.end_ns, self._clock.captured_ns), each.box
        visit.detections += detections
        is_better = _quality(each) > BETTER * visit.best.quality
        if is_better:
            visit.best = self._best(each)
        return is_better or visit.is_stationary != was_stationary

    def _see_candidates(self, tracked: list[TrackedBox]) -> list[tuple[TrackedBox, Candidate]]:
        """Count the detections of tracks without a visit. Return those that are not parked objects.

        A parked object appears at its place. One that appears elsewhere and comes to the place is another one.
        """
        clock, seen = self._clock, []
        with_visit = {each.track for each in self._ongoing}
        new = [each for each in tracked if each.track not in with_visit]
        for each, parked in zip(new, self._parked.find(new), strict=True):
            candidate = self._candidates.see(each.track, clock.watched_ns)
            if parked is not None and (candidate.parked or not candidate.detections):
                parked.watched_ns = clock.watched_ns
                candidate.parked = parked
                candidate.detections = candidate.strong_detections = 0
                continue
            if not candidate.detections:
                candidate.label, candidate.first_corners = each.box.label, each.corners
                candidate.first_captured_ns, candidate.first_elapsed_ns = clock.captured_ns, clock.elapsed_ns
                candidate.first_watched_ns = clock.watched_ns
            candidate.detections += 1
            candidate.strong_detections += each.score >= self._start_score
            seen.append((each, candidate))
        self._candidates.forget(clock.watched_ns - MAX_CANDIDATE_UNSEEN_NS)
        self._parked.forget(clock.watched_ns - self._remember_ns)
        return seen

    def _is_visit(self, candidate: Candidate) -> bool:
        return (
            candidate.strong_detections >= self._min_detections
            and self._clock.elapsed_ns - candidate.first_elapsed_ns >= self._min_ns
            and len(self._ongoing) < MAX_ONGOING
        )

    def _start(self, each: TrackedBox, candidate: Candidate) -> Visit:
        if candidate.parked is not None and candidate.parked.watched_ns < candidate.first_watched_ns:
            self._parked.remove(candidate.parked)  # It has moved. Otherwise, something else is still there.
        visit = Visit(
            id=self._next_id,
            label=each.box.label,
            start_ns=candidate.first_captured_ns,
            end_ns=max(candidate.first_captured_ns, self._clock.captured_ns),
            detections=candidate.detections,
            box=each.box,
            best=self._best(each),
        )
        self._next_id += 1
        self._candidates.remove(each.track)
        course = Course.begin(candidate.first_corners, candidate.first_elapsed_ns)
        course.see(each.corners, self._clock.elapsed_ns)
        clock = self._clock
        self._ongoing.append(OngoingVisit(visit, each.track, clock.watched_ns, clock.elapsed_ns, course))
        return visit

    def _best(self, each: TrackedBox) -> BestDetection:
        return BestDetection(self._clock.captured_ns, each.box, each.score, _quality(each))

    def _end(self, expected: list[OngoingVisit]) -> list[Visit]:
        """End visits, except those which a candidate will probably continue."""
        waiting = {id(each) for each in expected}
        ended = [each for each in self._ongoing if id(each) not in waiting and self._has_ended(each)]
        for each in ended:
            self._ongoing.remove(each)
            if each.visit.is_stationary:
                self._parked.add(each.visit.box, each.watched_ns)
        return [each.visit for each in ended]

    def _has_ended(self, each: OngoingVisit) -> bool:
        unseen_ns = self._clock.elapsed_ns - each.elapsed_ns
        return (
            self._clock.watched_ns - each.watched_ns > self._end_after_ns
            or unseen_ns > self._end_after_ns + MAX_GAP_NS
            or (self._ends_when_stationary and each.visit.is_stationary)
        )

    def state(self) -> dict[str, Any]:
        """Return the ongoing visits and the parked objects as plain JSON, for `restore` after a restart."""
        return {
            "version": STATE_VERSION,
            "clock": self._clock.state(),
            "next_id": self._next_id,
            "visits": [
                {
                    "visit": visit_to_json(each.visit),
                    "watched_ns": each.watched_ns,
                    "elapsed_ns": each.elapsed_ns,
                    "course": each.course.state(),
                }
                for each in self._ongoing
            ],
            "parked": self._parked.state(),
        }

    def restore(self, state: Any) -> None:
        """Continue with the result of `state`, as JSON or read from it, instead of with no visits.

        Tracks of the restarted tracker may have any numbers: an object continues its visit by its label and position.
        Visits that are not continued end, and are then in `VisitUpdate.ended`, so that callers can end their events.

        Raises: InvalidError: it is not such a result, or of another version. Nothing has changed.
        """
        try:
            if state["version"] != STATE_VERSION or len(state["visits"]) > MAX_ONGOING:
                raise invalid_state()
            clock = CaptureClock.from_state(state["clock"])
            next_id = to_integer(state["next_id"])
            ongoing = [_ongoing_from_json(each, clock) for each in state["visits"]]
            parked = ParkedObjects.from_state(state["parked"])
        except (LookupError, TypeError, ValueError) as exc:
            raise invalid_state() from exc
        self._clock, self._next_id, self._ongoing, self._parked = clock, next_id, ongoing, parked
        self._restored_ns = clock.captured_ns
        self._candidates.clear()


def _ongoing_from_json(value: Any, clock: CaptureClock) -> OngoingVisit:
    return OngoingVisit(
        visit=visit_from_json(value["visit"]),
        track=None,
        watched_ns=to_integer(value["watched_ns"]),
        elapsed_ns=to_integer(value["elapsed_ns"]),
        course=Course.from_state(value["course"], clock.elapsed_ns),
    )


def _quality(each: TrackedBox) -> float:
    left, top, right, bottom = each.corners
    return each.score * math.sqrt((right - left) * (bottom - top))
