"""Body points of the persons in a picture, by ViTPose: Sample.poses, COCO's 17 points each.

Where persons are is known from the sample's detections ("a tall man", "the woman"), or else from an object detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from filters.annotators.held_answers import HeldAnswers, Outcome
from filters.annotators.map_making import ask_shown, has_photo, made_by, refuse_sizes
from filters.annotators.network import Refused
from filters.annotators.pose_model import PixelBox, PoseAnswer, PoseModelSpec, PoseRequest, pixel_box
from filters.libraries import require
from pipeline.errors import SampleError
from pipeline.persons import PERSON, PERSONS, is_person
from pipeline.samples import Pose, Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class PersonPoses:
    """Add the poses of the persons in the main picture, the surest first. Dialogues get them, too; who sees nobody adds nothing."""

    adds: ClassVar[tuple[str, ...]] = ()  # not every picture has a person in it
    needs: ClassVar[Needs] = Needs()

    model: str  # ViTPose: a folder with config, weights and processor, or a name on the Hugging Face hub
    revision: str = ""  # of a name: branch, tag or commit; empty takes the newest
    detector: str = ""  # asked where no detection says where a person is: any object detector that knows the class "person"
    detector_revision: str = ""
    detector_threshold: float = 0.5  # of the detector's confidence
    whole_picture: bool = False  # without a detector: where no detection says it, one person fills the picture
    person_words: tuple[str, ...] = (*PERSON, *PERSONS)  # a detection is a person's whose phrase ends in one of them
    max_persons: int = 8  # a picture
    max_overlap: float = 0.7  # of two boxes, intersection over union: above it they are of the same person
    min_confidence: float = 0.3  # a point below it is not seen
    max_side: int = 1024  # pixels of the longer side of what the models are shown
    batch_size: int = 16  # persons, or pictures for the detector, at once
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"  # auto: the first GPU, or the CPU
    replace_existing: bool = False  # look anew where the sample brings poses, or a picture of them
    _model: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_sizes(self.max_persons, self.max_side, self.batch_size)
        for name in ("detector_threshold", "max_overlap", "min_confidence"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {value:g}")
        if self.whole_picture and self.detector:
            raise ValueError("either a detector says where persons are, or whole_picture does")
        if not self.person_words or any(word != word.lower() or len(word.split()) != 1 for word in self.person_words):
            raise ValueError(f"person_words: single words in lower case are wanted, got {self.person_words}")

    @property
    def asks(self) -> PoseModelSpec:
        return PoseModelSpec(self.model, self.revision, self.detector, self.detector_revision, self.precision, self.device)

    def check(self) -> None:
        require("pose", "scipy", extra="maps", step="annotator")  # ViTPose's processor wants it

    def setup(self, model: Model | None) -> None:
        assert model is not None
        self._model[:] = [model]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        return self._held.annotate(samples, self._is_asked, self._outcomes)

    def _is_asked(self, sample: Sample) -> bool:
        if not has_photo(sample) or ((sample.poses or "pose" in sample.images) and not self.replace_existing):
            return False
        return bool(self.detector) or self.whole_picture or bool(self._persons(sample))

    def _outcomes(self, samples: list[Sample]) -> list[Outcome]:
        answers = ask_shown(samples, "pose", self._ask, self.max_side)
        return [
            answer if isinstance(answer, SampleError) else self._with_poses(sample, *answer)
            for sample, answer in zip(samples, answers, strict=True)
        ]

    def _ask(self, samples: list[Sample], pictures: list[np.ndarray]) -> list[tuple[tuple[Pose, ...], str] | Refused]:
        [model] = self._model
        boxes = [self._boxes(sample, (each.shape[0], each.shape[1])) for sample, each in zip(samples, pictures, strict=True)]
        request = PoseRequest(pictures, boxes, self.detector_threshold, self.max_persons, self.max_overlap, self.batch_size)
        answer: PoseAnswer = model(request)
        return [
            persons if isinstance(persons, Refused) else (self._poses(persons, picture), answer.commit)
            for persons, picture in zip(answer.persons, pictures, strict=True)
        ]

    def _persons(self, sample: Sample) -> list[tuple[float, float, float, float]]:
        """Boxes of the detections of persons, the surest first."""
        found = [each for each in sample.detections if is_person(each.phrase, self.person_words)]
        return [each.box for each in sorted(found, key=lambda each: -each.confidence)]

    def _boxes(self, sample: Sample, size: tuple[int, int]) -> Sequence[PixelBox] | None:
        height, width = size
        scaled = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in self._persons(sample)]
        boxes = [box for corners in scaled if (box := pixel_box(corners, size))]
        return boxes or ([(0.0, 0.0, float(width), float(height))] if self.whole_picture else None)

    def _poses(self, persons: Sequence[np.ndarray], picture_HW3: np.ndarray) -> tuple[Pose, ...]:
        poses = (as_pose(points, picture_HW3.shape[1], picture_HW3.shape[0], self.min_confidence) for points in persons)
        return tuple(pose for pose in poses if any(confidence > 0 for _, _, confidence in pose.points))

    def _with_poses(self, sample: Sample, poses: tuple[Pose, ...], commit: str) -> Sample:
        drawn = {"pose"} if self.replace_existing else set()  # of the poses that were there before
        return replace(
            sample,
            poses=poses,
            images={role: data for role, data in sample.images.items() if role not in drawn},
            headers={role: header for role, header in sample.headers.items() if role not in drawn},
            metadata={**sample.metadata, "pose_model": made_by(self.model, commit)} if poses else sample.metadata,
        )


def as_pose(points: np.ndarray, width: int, height: int, min_confidence: float) -> Pose:
    """Points as fractions of a picture; (0, 0, 0) for one that is not seen: below the confidence, or outside the picture.

    Args:
        points: [17, 3]: x, y in pixels, confidence.
    """
    x, y, confidence = points[:, 0] / width, points[:, 1] / height, points[:, 2]
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(points).all(1) & (confidence >= min_confidence) & (confidence > 0)
        seen &= (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    rows = np.where(seen[:, None], np.stack([x, y, np.minimum(confidence, 1.0)], 1), 0.0).tolist()
    return Pose(tuple((row[0], row[1], row[2]) for row in rows))
