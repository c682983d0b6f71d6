"""What is known of a sample beside its pictures and its caption, as JSON: detections, poses, generated captions, dialogue.

    {"detections": [{"phrase": "red fox", "box": [0.1, 0.2, 0.5, 0.9], "confidence": 0.8, "span": [2, 9]}],
     "poses": [{"points": [[0.2, 0.3, 0.9], ...], "layout": "coco17"}],
     "captions": [{"text": "a fox", "source": "blip", ...}],
     "turns": [{"role": "user", "content": ["What is this? ", {"image": "image"}]}, ...],
     "metadata": {"width": "two feet", ...}}      all of it, where names in it have another meaning beside the annotations

An image shard's JSON holds these under ANNOTATIONS, so that what annotators said is said once.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from pipeline.samples import Caption, Detection, ImageRef, Pose, Sample, Turn

ANNOTATIONS = "mgpt_annotations"  # the key in a shard's JSON
METADATA = "metadata"  # in the annotations


def to_json(sample: Sample) -> dict[str, Any]:
    """What a sample is annotated with; only what is there.

    Raises:
        ValueError: A turn shows a part of a picture, or a changed one: sources do not write such.
    """
    said = {
        "detections": [_without_empty(asdict(detection)) for detection in sample.detections],
        "poses": [asdict(pose) for pose in sample.poses],
        "captions": [_without_empty(asdict(caption)) for caption in sample.captions],
        "turns": [{"role": turn.role, "content": [_part(part) for part in turn.content]} for turn in sample.turns],
    }
    return {name: value for name, value in said.items() if value}


def from_json(said: Any) -> dict[str, Any]:
    """The fields of a Sample that `to_json` wrote, and its metadata where they are there, for `dataclasses.replace`.

    Raises:
        ValueError: It is no such JSON; the message names the place.
    """
    if not isinstance(said, dict) or (unknown := said.keys() - READERS.keys() - {METADATA}):
        raise ValueError(
            f"wants an object with {', '.join((*READERS, METADATA))}, got {str(said if not isinstance(said, dict) else unknown)[:100]}"
        )
    found: dict[str, Any] = {}
    for name, items in said.items():
        try:
            found[name] = _read_metadata(items) if name == METADATA else tuple(READERS[name](item) for item in items)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: {type(error).__name__}: {error}") from error
    return found


def _part(part: str | ImageRef) -> str | dict[str, str]:
    if isinstance(part, str):
        return part
    if part != ImageRef(part.name):
        raise ValueError(f"{part} is no whole picture")
    return {"image": part.name}


def _read_metadata(table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise TypeError(f"wants an object, got {str(table)[:100]}")
    return table


def _read_detection(item: Mapping[str, Any]) -> Detection:
    x0, y0, x1, y1 = (float(value) for value in item["box"])
    span = item.get("span")
    return Detection(
        str(item["phrase"]), (x0, y0, x1, y1), float(item["confidence"]), None if span is None else (int(span[0]), int(span[1]))
    )


def _read_pose(item: Mapping[str, Any]) -> Pose:
    return Pose(tuple((float(x), float(y), float(confidence)) for x, y, confidence in item["points"]), str(item["layout"]))


def _read_caption(item: Mapping[str, Any]) -> Caption:
    return Caption(**{field.name: item[field.name] for field in fields(Caption) if field.name in item})


def _read_turn(item: Mapping[str, Any]) -> Turn:
    role = item["role"]
    if role not in ("user", "assistant"):
        raise ValueError(f"role {role!r} is neither user nor assistant")
    return Turn(role, tuple(part if isinstance(part, str) else ImageRef(str(part["image"])) for part in item["content"]))


READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "detections": _read_detection,
    "poses": _read_pose,
    "captions": _read_caption,
    "turns": _read_turn,
}


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value not in (None, "") or name == "text"}
