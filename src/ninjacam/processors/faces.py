"""The ready-made processor `faces`: one event for each face that appears."""

from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, Result, load_model, processor
from ninjacam.processors.visit_events import VisitEvents

CONTINUE_SCORE = 0.4
"""A face that turns away has a low score."""


class FaceOptions(BaseModel):
    model: str = Field("yunet", max_length=100, description="A model for faces of `ninjacam models list`.")
    score: float = Field(0.6, ge=0.05, le=1, description="Score that a visit needs to begin.")
    min_width: float = Field(
        2, ge=0, le=100, description="Width of the smallest face, in percent of the image."
    )
    end_after_s: float = Field(3, ge=1, le=60, description="Seconds out of sight after which a visit ends.")


@processor("faces", when="motion", fps=5, width_px=640)
class Faces(Processor):
    """Visits of faces, with their eyes, nose and mouth. In zones, if the camera has any; never in masks."""

    Options = FaceOptions

    def setup(self, camera: str, options: FaceOptions) -> None:
        self.options = options
        self.model = load_model(options.model)
        self.visits = VisitEvents(
            self, score=options.score, continue_score=CONTINUE_SCORE, end_after_s=options.end_after_s
        )

    def process(self, frame: Frame) -> Result:
        found = self.model.detect(frame.image, score=self.visits.min_score)
        least_px = self.options.min_width / 100 * frame.width
        is_large = [float(box.right) - float(box.left) >= least_px for box in found.boxes]
        faces = [box for box, large in zip(found.boxes, is_large, strict=True) if large]
        # A model of another kind has no landmarks.
        points = [each for each, large in zip(found.keypoints, is_large, strict=False) if large]
        tracked, update = self.visits.update(faces, frame)
        return Result(annotations=[*tracked, *points], values={"visits": self.visits.ongoing}, data=update)
