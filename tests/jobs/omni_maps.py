"""What each map of a drawn scene has to show, held against the cut picture it belongs to."""

import numpy as np

from pipeline.samples import Sample
from pipeline.sources.scene import Scene
from pipeline.sources.scene_drawing import normal_of
from tests.jobs.omni_scenes import Sight, is_whole, place_of, widen

MAPS = ("depth", "normal", "segmentation")
CLASSES = ("circle", "square", "triangle", "star", "diamond", "cross", "ring", "hexagon", "person")  # ids 1 to 9; 0 is the ground
PALETTE = np.array(  # PASCAL VOC's first ten colours, as its papers print them
    [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (128, 0, 128),
        (0, 128, 128),
        (128, 128, 128),
        (64, 0, 0),
        (192, 0, 0),
    ]
)
SHADES = (255, 188, 121)  # of a depth map: the largest thing, the next, ...; the ground is 0
LIMBS = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
JOINTS = {  # OpenPose's colour of each dot
    "nose": (255, 0, 0),
    **dict(zip((f"right_{part}" for part in LIMBS[0]), ((255, 170, 0), (255, 255, 0), (170, 255, 0)), strict=True)),
    **dict(zip((f"left_{part}" for part in LIMBS[0]), ((85, 255, 0), (0, 255, 0), (0, 255, 85)), strict=True)),
    **dict(zip((f"right_{part}" for part in LIMBS[1]), ((0, 255, 170), (0, 255, 255), (0, 170, 255)), strict=True)),
    **dict(zip((f"left_{part}" for part in LIMBS[1]), ((0, 85, 255), (0, 0, 255), (85, 0, 255)), strict=True)),
    **{"right_eye": (170, 0, 255), "left_eye": (255, 0, 255), "right_ear": (255, 0, 170), "left_ear": (255, 0, 85)},
}
COCO = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", *(f"{s}_{p}" for limb in LIMBS for p in limb for s in ("left", "right")))


def wrong_share(role: str, drawn: np.ndarray, sight: Sight, scene: Scene) -> float:
    """The share of a map's pixels, away from the edges of what is seen on its picture, that do not show what they should.

    Args:
        role: depth, normal or segmentation.
        drawn: uint8 [H, W, 3]: the map.
        sight: Of the picture.
    """
    off = np.abs(drawn.astype(int) - wanted_map(role, sight.seen, scene)).max(axis=2)
    return float((off[sight.is_sure] > (1 if role == "normal" else 0)).mean())  # normals: rounded to bytes twice


def wanted_map(role: str, seen: np.ndarray, scene: Scene) -> np.ndarray:
    """[H, W, 3]: what a map shows where this is seen."""
    if role == "segmentation":
        classes = np.array([*(1 + CLASSES.index(thing.shape) for thing in scene.things), 0])
        return PALETTE[classes[seen]]
    if role == "normal":
        vectors = np.array([*(normal_of(thing.shape) for thing in scene.things), (0.0, 0.0, 1.0)])
        return np.rint((vectors[seen] + 1) * 127.5)
    by_size = sorted(range(len(scene.things)), key=lambda number: -scene.things[number].radius)
    shades = np.array([*(SHADES[by_size.index(number)] for number in range(len(scene.things))), 0])[seen]
    nearest = max(1, shades.max())
    return np.rint(np.repeat(shades[..., None], 3, axis=2) / nearest * 255)


def check_skeleton(drawn: np.ndarray, sight: Sight, sample: Sample, scene: Scene) -> int:
    """Every dot of the skeleton lies on the person, and where it should on it.

    Returns:
        How many dots were found: none of a person that is not seen whole.
    """
    [number] = [number for number, thing in enumerate(scene.things) if thing.posture is not None]
    person = sight.seen == number
    if not person.any() or not is_whole(person):
        return 0
    header = sample.headers["image"]
    place = place_of(scene.things[number], (header.width, header.height), person)
    near, num_found = widen(person, 2), 0
    for name, (x, y, _) in zip(COCO, sample.poses[0].points, strict=True):
        dot = (drawn == JOINTS[name]).all(axis=2)
        if dot.sum() < 3:
            continue  # under others
        assert near[dot].all(), f"{sample.key}: {name} is drawn beside the person"
        rows, columns = np.nonzero(dot)
        there = columns.mean() + 0.5, rows.mean() + 0.5
        assert np.abs(np.subtract(there, place.at(x, y))).max() < 2.5, f"{sample.key}: {name} is at {there}"
        num_found += 1
    lines = drawn.any(axis=2)
    assert (lines & near).sum() > 0.9 * lines.sum()
    return num_found
