"""A model as processors use it: an image in, boxes out."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ninjacam.core.annotations import MAX_ANNOTATIONS, Box, Keypoints
from ninjacam.core.errors import ConfigError, ModelError, ProcessorError
from ninjacam.inference.candidates import Candidates
from ninjacam.inference.model_inputs import MismatchError
from ninjacam.inference.network import Network
from ninjacam.inference.preparation import BgrImage, check_image
from ninjacam.inference.selection import select

MAX_BOXES = 100
"""Default of `max_boxes`."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects of one image, best first. `keypoints`: one for each box; empty if the network has no landmarks."""

    boxes: list[Box]
    keypoints: list[Keypoints]


class Model:
    """A network with its labels. All cameras of a process share the network; any thread may call it.

        detector = load_model("yolox-nano")
        people = detector(frame.image, labels=["person"], score=0.5)

    `name`: of the model. `labels`: in the order of its classes. `engine`, `device`: what runs it.
    """

    def __init__(self, name: str, labels: Sequence[str], network: Network, score: float) -> None:
        self.name = name
        self.labels = tuple(labels)
        self.engine = network.engine_name
        self.device = network.device
        self._network = network
        self._score = score
        self._classes: dict[str, set[int]] = {}
        for number, label in enumerate(self.labels):
            self._classes.setdefault(label, set()).add(number)

    def __repr__(self) -> str:
        return f"<Model {self.name}: {len(self.labels)} labels, {self.engine}, {self.device}>"

    def __call__(
        self,
        image: BgrImage,
        *,
        score: float | None = None,
        iou: float = 0.5,
        labels: Collection[str] | None = None,
        max_boxes: int = MAX_BOXES,
    ) -> list[Box]:
        """Return the objects in an image, best first, as boxes in its pixels with label and score.

        `image`: uint8, (height, width, 3), BGR, of any size. `score`: lowest score, 0 to 1; default: that of the model.
        `iou`: intersection over union, 0 to 1, from which two boxes of one label are the same object. `labels`: only
        objects with these. `max_boxes`: 1 to 256.

        Raises: ConfigError: an argument is invalid; ModelError: the network fails; ProcessorError: other cameras use it
        for too long.
        """
        return self.detect(image, score=score, iou=iou, labels=labels, max_boxes=max_boxes).boxes

    def batch(
        self,
        images: Sequence[BgrImage],
        *,
        score: float | None = None,
        iou: float = 0.5,
        labels: Collection[str] | None = None,
        max_boxes: int = MAX_BOXES,
    ) -> list[list[Box]]:
        """Return the objects in each image, as a call does. The images may have different sizes.

        If the network takes several images, up to 16 are run at once; else one after the other.
        """
        found = self._detect(images, score, iou, labels, max_boxes)
        return [self._boxes(each) for each in found]

    def detect(
        self,
        image: BgrImage,
        *,
        score: float | None = None,
        iou: float = 0.5,
        labels: Collection[str] | None = None,
        max_boxes: int = MAX_BOXES,
    ) -> Detections:
        """Return the objects in an image, as a call does, and their landmarks."""
        (found,) = self._detect([image], score, iou, labels, max_boxes)
        boxes = self._boxes(found)
        if found.points is None:
            return Detections(boxes, [])
        faces = zip(found.points.tolist(), boxes, strict=True)
        return Detections(boxes, [Keypoints(points, (), box.label, box.score) for points, box in faces])

    def _detect(
        self,
        images: Sequence[Any],
        score: float | None,
        iou: float,
        labels: Collection[str] | None,
        max_boxes: int,
    ) -> list[Candidates]:
        checked = [check_image(image) for image in images]
        min_score = _fraction("score", self._score if score is None else score)
        _fraction("iou", iou)
        if not 1 <= max_boxes <= MAX_ANNOTATIONS:
            raise ConfigError(f"`max_boxes` must be from 1 to {MAX_ANNOTATIONS}, not {max_boxes}.")
        wanted = None if labels is None else self._numbers(labels)
        found: list[Candidates] = []
        step = self._network.max_images
        with translated(self.name):
            for start in range(0, len(checked), step):
                found += self._network.detect(checked[start : start + step], min_score)
        return [select(each, iou=iou, max_boxes=max_boxes, wanted=wanted) for each in found]

    def _numbers(self, labels: Collection[str]) -> frozenset[int]:
        """Raises: ConfigError: the model does not have a label."""
        if isinstance(labels, str):
            labels = [labels]
        unknown = sorted(set(labels) - self._classes.keys())
        if unknown:
            known = ", ".join(self.labels[:10]) + (", …" if len(self.labels) > 10 else "")
            raise ConfigError(f"The model “{self.name}” has no label “{unknown[0]}”. Its labels are {known}.")
        return frozenset().union(*(self._classes[label] for label in labels))

    def _boxes(self, found: Candidates) -> list[Box]:
        rows = zip(found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
        # Networks in 16 bits may return a score slightly above 1.
        return [
            Box(left, top, right, bottom, self.labels[number], min(score, 1.0))
            for (left, top, right, bottom), number, score in rows
        ]


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"`{name}` must be a number from 0 to 1, not {value}.")
    return max(value, 0.001)  # A score of 0 would make each cell of the network a candidate.


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise errors of a running network as ModelError or ProcessorError. `name`: of the model."""
    try:
        yield
    except MismatchError as exc:
        raise ModelError(
            f"The model “{name}” does not fit its decoder or labels: {exc}. Add it again with the right ones."
        ) from exc
    except TimeoutError as exc:
        raise ProcessorError(f"The model “{name}” is used by other cameras for too long.") from exc
    except (RuntimeError, MemoryError) as exc:
        raise ModelError(f"The model “{name}” fails: {exc}.") from exc
