"""ViTPose and an object detector of the transformers library, behind one call: pictures in, persons with their body points out.

ViTPose looks at one person at a time, cut out by a box. Boxes come with the request, or from the detector.

Shapes: H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from filters.annotators.checkpoint import Checkpoint, commit_of
from filters.annotators.network import Refused, ask, prepared
from pipeline.boxes import box_overlap
from pipeline.errors import RecipeError
from pipeline.samples import Box

NUM_POINTS = 17  # of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles
DATASET = 0  # COCO, among those that the experts of ViTPose++ were trained on
PERSON = "person"  # a detector's name for them

PixelBox = tuple[float, float, float, float]  # x, y, width, height in pixels of the picture shown


@dataclass(frozen=True, slots=True)
class PoseRequest:
    """What is asked at once."""

    pictures: Sequence[np.ndarray]  # uint8 [H, W, 3]
    boxes: Sequence[Sequence[PixelBox] | None]  # of each picture's persons, the surest first; None: ask the detector
    detector_threshold: float
    max_persons: int
    max_overlap: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class PoseAnswer:
    """What was found."""

    persons: Sequence[Sequence[np.ndarray] | Refused]  # float32 [17, 3] of each person: x, y in pixels, confidence
    commit: str  # of ViTPose's weights, where it is known


@dataclass(frozen=True)
class PoseModelSpec:
    """Weights by name or folder."""

    model: str
    revision: str
    detector: str  # empty: none
    detector_revision: str
    precision: str
    device: str

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Of ViTPose, and of the detector if there is one."""
        pose = Checkpoint("pose", self.model, self.revision, self.precision, self.device)
        return (pose, Checkpoint("pose", self.detector, self.detector_revision, self.precision, self.device)) if self.detector else (pose,)

    def check(self) -> None:
        """
        Raises:
            RecipeError: There is no such model, it finds other points than COCO's, or the detector does not know persons.
        """
        from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES as DETECTORS

        pose, *detector = self.checkpoints
        config = pose.check(("vitpose",), "is no ViTPose")
        if config.num_labels != NUM_POINTS:
            raise RecipeError(f"annotator pose: {self.model} finds {config.num_labels} points, and COCO's {NUM_POINTS} are wanted")
        for each in detector:
            person_ids(each.check(DETECTORS, "does not detect objects"), self.detector)

    def fingerprint(self) -> str:
        return " ".join(checkpoint.fingerprint() for checkpoint in self.checkpoints)

    def load(self) -> "PoseModel":
        """
        Raises:
            RecipeError: The weights cannot be had, or some are missing.
        """
        from transformers import AutoImageProcessor, AutoModelForObjectDetection, VitPoseForPoseEstimation

        pose, *detector = self.checkpoints
        network, processor = pose.load(VitPoseForPoseEstimation, AutoImageProcessor)
        found = [Detector(*each.load(AutoModelForObjectDetection, AutoImageProcessor), self.detector) for each in detector]
        return PoseModel(network, processor, found[0] if found else None)


def person_ids(config: Any, model: str) -> frozenset[int]:
    """The classes that a detector's config calls "person".

    Raises:
        RecipeError: None is.
    """
    ids = frozenset(number for number, name in config.id2label.items() if name.lower() == PERSON)
    if not ids:
        raise RecipeError(f"annotator pose: the detector {model} has no class {PERSON!r}")
    return ids


@dataclass(frozen=True)
class Detector:
    """A loaded object detector."""

    network: Any
    processor: Any
    name: str

    def persons(self, pictures: Sequence[np.ndarray], threshold: float, batch_size: int) -> list[list[PixelBox] | Refused]:
        """The boxes of persons in each picture, the surest first."""
        persons = person_ids(self.network.config, self.name)

        def prepare(number: int) -> Mapping[str, Any]:
            return self.processor(images=[Image.fromarray(pictures[number])], return_tensors="pt")

        def read(outputs: Any, _: Mapping[str, Any], numbers: list[int]) -> list[list[PixelBox]]:
            sizes = [pictures[number].shape[:2] for number in numbers]
            found = self.processor.post_process_object_detection(outputs, threshold=threshold, target_sizes=sizes)
            return [_person_boxes(each, size, persons) for each, size in zip(found, sizes, strict=True)]

        return ask(self.network, prepared(prepare, len(pictures)), batch_size, read)


@dataclass(frozen=True)
class PoseModel:
    """The loaded models."""

    network: Any
    processor: Any
    detector: Detector | None

    def __call__(self, request: PoseRequest) -> PoseAnswer:
        boxes = self._boxes(request)
        rows = [(number, box) for number, found in enumerate(boxes) if not isinstance(found, Refused) for box in found]
        points = self._points(request.pictures, rows, request.batch_size)
        persons: list[list[np.ndarray] | Refused] = [found if isinstance(found, Refused) else [] for found in boxes]
        for (number, _), found in zip(rows, points, strict=True):
            known = persons[number]
            if isinstance(found, Refused):
                persons[number] = found
            elif not isinstance(known, Refused):
                known.append(found)
        return PoseAnswer(persons, commit_of(self.network))

    def _boxes(self, request: PoseRequest) -> list[Sequence[PixelBox] | Refused]:
        unknown = [number for number, boxes in enumerate(request.boxes) if boxes is None]
        boxes: list[Sequence[PixelBox] | Refused] = [given or () for given in request.boxes]
        if unknown and self.detector is not None:
            shown = [request.pictures[number] for number in unknown]
            found = self.detector.persons(shown, request.detector_threshold, request.batch_size)
            for number, each in zip(unknown, found, strict=True):
                boxes[number] = each
        return [each if isinstance(each, Refused) else apart(each, request.max_overlap)[: request.max_persons] for each in boxes]

    def _points(self, pictures: Sequence[np.ndarray], rows: list[tuple[int, PixelBox]], batch_size: int) -> list[np.ndarray | Refused]:
        import torch

        experts = getattr(self.network.config.backbone_config, "num_experts", 1)
        extra = {"dataset_index": torch.tensor([DATASET])} if experts > 1 else {}

        def prepare(row: int) -> Mapping[str, Any]:
            number, box = rows[row]
            return {**self.processor(images=[Image.fromarray(pictures[number])], boxes=[[box]], return_tensors="pt"), **extra}

        def read(outputs: Any, _: Mapping[str, Any], numbers: list[int]) -> list[np.ndarray]:
            found = self.processor.post_process_pose_estimation(outputs, boxes=[[rows[row][1]] for row in numbers])
            return [np.concatenate([each["keypoints"].numpy(), each["scores"].numpy()[:, None]], 1) for [each] in found]

        return ask(self.network, prepared(prepare, len(rows)), batch_size, read)


def apart(boxes: Sequence[PixelBox], max_overlap: float) -> list[PixelBox]:
    """The boxes without those that cover a surer one's person again: their overlap, intersection over union, is above `max_overlap`."""
    kept: list[PixelBox] = []
    for box in boxes:
        if all(box_overlap(corners_of(box), corners_of(other)) <= max_overlap for other in kept):
            kept.append(box)
    return kept


def corners_of(box: PixelBox) -> Box:
    """x0, y0, x1, y1 in pixels."""
    x, y, width, height = box
    return x, y, x + width, y + height


def pixel_box(corners: Sequence[float], size: tuple[int, int]) -> PixelBox | None:
    """A box cut at the picture's borders; None where less than a pixel is left of a side.

    Args:
        corners: x0, y0, x1, y1 in pixels.
        size: Height and width of the picture, pixels.
    """
    x0, x1 = (min(max(value, 0.0), float(size[1])) for value in (corners[0], corners[2]))
    y0, y1 = (min(max(value, 0.0), float(size[0])) for value in (corners[1], corners[3]))
    return (x0, y0, x1 - x0, y1 - y0) if x1 - x0 >= 1 and y1 - y0 >= 1 else None


def _person_boxes(found: Mapping[str, Any], size: tuple[int, int], persons: frozenset[int]) -> list[PixelBox]:
    rows = zip(found["scores"].tolist(), found["labels"].tolist(), found["boxes"].tolist(), strict=True)
    surest = sorted((row for row in rows if row[1] in persons), key=lambda row: -row[0])
    return [box for _, _, corners in surest if (box := pixel_box(corners, size))]
