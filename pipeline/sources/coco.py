"""COCO: pictures with boxes, persons' poses and captions, as its annotation files give them.

    annotations/instances_val2017.json          boxes of 80 categories              path, or left out
    annotations/person_keypoints_val2017.json   boxes and poses of persons          path, or keypoints beside instances
    annotations/captions_val2017.json           five captions a picture             captions, or path
    val2017/000000397133.jpg                                                        image_root = "val2017"

A sample for each of the `images` of `path`, with and without persons; the key is `file_name` without its ending. A box becomes a detection
whose phrase is the category's name. A pose has 17 points (coco17): v = 2 (visible) has confidence 1, v = 1 (labelled, but hidden) 0.5,
v = 0 (not labelled) 0. Crowds (`iscrowd`), boxes without area and persons without a labelled point are left out. The caption is the first
of the file; all of them are in the metadata.

Boxes and points are fractions of the size that the file states, so the pictures may be scaled copies. A picture that has boxes or points
but other proportions fails, and so does one that its EXIF orientation lays on its side: the file means the stored pixels.

Source: cocodataset.org/#format-data (object detection, keypoint detection, image captioning).
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Detection, Pose, Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.coco_fields import as_fractions, check_size
from pipeline.sources.coco_tables import NUM_POINTS, CocoTable, ImageId, Picture, read_table
from pipeline.sources.listing import sizes
from pipeline.sources.text import as_key, escape
from pipeline.sources.unit import Unit, cut_into_units

CONFIDENCES = (0.0, 0.5, 1.0)  # of v = 0, 1, 2


@dataclass(frozen=True)
class Coco:
    """Every image of an annotation file."""

    path: str  # instances_*.json, person_keypoints_*.json, captions_*.json, or image_info_*.json
    keypoints: str = ""  # person_keypoints_*.json of the same pictures: only its poses are used
    captions: str = ""  # captions_*.json of the same pictures
    image_root: str = ""  # what `file_name` is relative to; empty: the folder of `path`

    def plan(self, unit_size: int) -> list[Unit]:
        return cut_into_units(self.path, len(self._ids), unit_size)

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        for image_id in self._ids[unit.start : unit.stop]:
            picture = self._tables[0].pictures[image_id]
            key = escape(as_key(posixpath.splitext(picture.name)[0] or str(image_id)))
            flaw = picture.flaw or next((table.flaws[image_id] for table in self._tables if image_id in table.flaws), None)
            try:
                if flaw:
                    raise BadRecord(*flaw)
                yield self._make_sample(picture, image_id, key)
            except BadRecord as error:
                yield BadSample(key, error.reason, escape(error.message))

    def fingerprint(self) -> dict[str, str]:
        return sizes(self._paths)

    @property
    def _paths(self) -> list[str]:
        return [path for path in (self.path, self.keypoints, self.captions) if path]

    @cached_property
    def _ids(self) -> list[ImageId]:
        return list(self._tables[0].pictures)

    @cached_property
    def _tables(self) -> list[CocoTable]:
        """Of `_paths`. Read once: they travel with the source to the workers."""
        tables = [read_table(path) for path in self._paths]
        for path, table in zip(self._paths, tables, strict=True):
            if tables[0].pictures.keys().isdisjoint(table.pictures):
                raise RecipeError(f"{path}: has no image of {self.path}")
        first, last = tables[0], tables[-1]
        if self.keypoints and (first.poses or not tables[1].poses):
            raise RecipeError(f"{self.path}: has keypoints of its own" if first.poses else f"{self.keypoints}: has no keypoints")
        if self.captions and (first.captions or not last.captions):
            raise RecipeError(f"{self.path}: has captions of its own" if first.captions else f"{self.captions}: has no captions")
        return tables

    def _make_sample(self, picture: Picture, image_id: ImageId, key: str) -> Sample:
        detections = _detections(self._tables[0], picture, image_id)
        poses = tuple(pose for table in self._tables for pose in _poses(table, picture, image_id))
        try:
            image = read_picture(self.image_root or posixpath.dirname(self.path), picture.name)
            if detections or poses:
                check_size(image, (picture.width, picture.height))
        except BadRecord as error:
            raise BadRecord(error.reason, f"{picture.where}: {error.message}") from error
        captions = [caption.strip() for table in self._tables for caption in table.captions.get(image_id, ())]
        return Sample(
            key,
            captions[0] if captions else "",
            {"image": image},
            detections=detections,
            poses=poses,
            metadata={**picture.metadata, "captions": captions} if captions else picture.metadata,
        )


def _detections(table: CocoTable, picture: Picture, image_id: ImageId) -> tuple[Detection, ...]:
    found = []
    for row in table.box_rows.get(image_id, ()):
        x0, y0, x1, y1 = table.boxes[4 * row : 4 * row + 4]
        box = as_fractions((x0, y0, x1, y1), picture.width, picture.height)
        if box is not None:
            found.append(Detection(table.names[table.labels[row]], box, 1.0))
    return tuple(found)


def _poses(table: CocoTable, picture: Picture, image_id: ImageId) -> Iterator[Pose]:
    for row in table.pose_rows.get(image_id, ()):
        numbers = table.poses[3 * NUM_POINTS * row : 3 * NUM_POINTS * (row + 1)]
        points = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        yield Pose(tuple((x / picture.width, y / picture.height, CONFIDENCES[int(v)]) for x, y, v in points))
