"""Drawn scenes of coloured shapes and persons whose truth is known: captions, boxes, maps, edits, poses, questions.

    "a small green square left of a large yellow star on a blue ground"

For tests and for learning on a laptop. Everything about a scene is a function of the seed and its key.

image                        the scene
segmentation depth normal    maps of it, as scene_drawing.py says
edited_1 edited_2 edited_3   after one, two, three edits; metadata: instruction_1, edited_caption_1, ...
mask_1 mask_2 mask_3         where each of them changes the picture before
subject_1 ...                the scene's first thing on its own, its second, ...; there are as many as it has things
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pipeline.dice import dice
from pipeline.roles import EDITED, SUBJECT, count_numbered, numbered
from pipeline.samples import Detection, Pose, Sample
from pipeline.sources.picture_size import parse_size
from pipeline.sources.scene import COLORS, HUGE, SMALLEST, Scene, draw_lots, edit, pick, put_person
from pipeline.sources.scene_drawing import draw_depth, draw_image, draw_mask, draw_normal, draw_segmentation, draw_subject
from pipeline.sources.scene_people import HEAD, PERSON, make_figure
from pipeline.sources.scene_questions import ask
from pipeline.sources.scene_shapes import SHAPES
from pipeline.sources.unit import Unit, cut_into_units

MAX_THINGS = MAX_EDITS = 3
MASK = "mask"
WANTED = {  # a numbered role makes no sense without another one
    **{numbered(name, n): numbered(name, n - 1) for name, most in ((EDITED, MAX_EDITS), (SUBJECT, MAX_THINGS)) for n in range(2, most + 1)},
    **{numbered(MASK, n): numbered(EDITED, n) for n in range(1, MAX_EDITS + 1)},
}
ROLES = (
    *("image", "segmentation", "depth", "normal"),
    *(numbered(name, n) for name, most in ((EDITED, MAX_EDITS), (MASK, MAX_EDITS), (SUBJECT, MAX_THINGS)) for n in range(1, most + 1)),
)
SIZES = {"small": "small", "medium": "", "large": "large", HUGE: HUGE}  # the word that a caption has for it
KINDS = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
PERSONS = tuple(f"{color} {PERSON}" for color in COLORS)


@dataclass(frozen=True)
class Shapes:
    """`count` scenes, keyed by their number."""

    count: int
    seed: int = 0
    sizes: tuple[str, ...] = ("128x128",)  # width x height in pixels; one of them by key
    max_things: int = 3  # 1 to 3 shapes a scene
    thing_sizes: tuple[str, ...] = ("small", "medium", "large")  # and "huge": nearly as large as the picture, in the middle
    grounds: tuple[str, ...] = ()  # colours of the grounds before any edit; empty: all
    gradient_share: float = 0.2  # of the grounds fade from one colour to another
    texture_share: float = 0.0  # of the grounds are grainy; the caption does not say so
    people_share: float = 0.0  # of the scenes show a person in the place of one shape, with its pose and the box of its head
    questions: bool = False  # a dialogue about the scene as the sample's turns
    roles: tuple[str, ...] = ("image",)  # which pictures of a scene, as listed above; edited_2 wants edited_1, mask_1 wants edited_1, ...
    hold_out: tuple[str, ...] = ()  # "red circle", ...: never drawn, so that a model can be asked for what it has not seen

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is at least 1, got {self.count}")
        if not 1 <= self.max_things <= MAX_THINGS:
            raise ValueError(f"max_things is 1, 2 or 3, got {self.max_things}")
        for option in ("gradient_share", "texture_share", "people_share"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"{option} lies in [0, 1], got {getattr(self, option)}")
        for size in self.sizes:
            parse_size("sizes", size)
        for option, known in (
            ("roles", ROLES),
            ("hold_out", KINDS + PERSONS),
            ("thing_sizes", tuple(SIZES)),
            ("grounds", tuple(COLORS)),
        ):
            if unknown := [name for name in getattr(self, option) if name not in known]:
                raise ValueError(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
        if not self.sizes or not self.roles or not self.thing_sizes:
            raise ValueError("sizes, roles and thing_sizes want at least one entry each")
        if HUGE in self.thing_sizes and self.max_things > 1:
            raise ValueError(f"thing_sizes: {HUGE!r} leaves no place for others: max_things is 1 then, got {self.max_things}")
        if self.max_things == 3 and not {SIZES[name] for name in self.thing_sizes} & set(SMALLEST):
            raise ValueError(f"thing_sizes: three in a row want 'small' or 'medium', got {', '.join(self.thing_sizes)}")
        if len(set(self.grounds)) == 1 and self.gradient_share:
            raise ValueError("grounds: one that fades wants two colours at least")
        for role in self.roles:
            if role in WANTED and WANTED[role] not in self.roles:
                raise ValueError(f"roles: {role!r} wants {WANTED[role]!r} as well")
        if self.questions and "image" not in self.roles:
            raise ValueError("questions are about the picture: roles wants 'image'")
        for kinds in (KINDS, PERSONS):
            if (num := len(set(self.hold_out).intersection(kinds))) > len(kinds) // 2:
                raise ValueError(f"hold_out: {num} of {len(kinds)} kinds leave too little to draw")

    def plan(self, unit_size: int) -> list[Unit]:
        return cut_into_units("shapes", self.count, unit_size)

    def read(self, unit: Unit) -> Iterator[Sample]:
        for number in range(unit.start, self.count if unit.stop is None else unit.stop):
            yield self.draw(f"{number:09d}")

    def fingerprint(self) -> dict[str, str]:
        return {"shapes": f"{self.count} scenes"}

    def scene(self, key: str) -> Scene:
        """What is in the scene of a key."""
        hold_out = frozenset(self.hold_out)
        sizes = [SIZES[name] for name in self.thing_sizes]
        grounds = self.grounds or tuple(COLORS)
        roll = dice(self.seed, key, "scene").random
        scene = draw_lots(roll, self.max_things, self.gradient_share, hold_out, sizes=sizes, grounds=grounds)
        people = dice(self.seed, key, "people").random
        return put_person(people, scene, hold_out) if people() < self.people_share else scene

    def edits(self, key: str) -> tuple[list[Scene], list[str]]:
        """The scene of a key and what each edit makes of the one before, and the instructions."""
        scenes, instructions = [self.scene(key)], list[str]()
        for number in range(1, MAX_EDITS + 1):
            purpose = "edit" if number == 1 else f"edit {number}"
            scene, instruction = edit(dice(self.seed, key, purpose).random, scenes[-1], frozenset(self.hold_out))
            scenes.append(scene)
            instructions.append(instruction)
        return scenes, instructions

    def draw(self, key: str) -> Sample:
        """The sample of a key: any key, also beyond `count`."""
        width, height = self.size(key)
        scenes, instructions = self.edits(key)
        scene = scenes[0]
        caption, spans = scene.describe()
        draw = self._pictures(key, scenes)
        persons = [(thing, make_figure(thing.posture)) for thing in scene.things if thing.posture is not None]
        detections = [Detection(thing.phrase, thing.box(width, height), 1.0, span) for thing, span in zip(scene.things, spans, strict=True)]
        detections += [Detection(HEAD, thing.box(width, height, figure.head_extent), 1.0) for thing, figure in persons]
        poses = [Pose(tuple((*thing.place(point, width, height), 1.0) for point in figure.points)) for thing, figure in persons]
        metadata = {}
        for number in range(1, count_numbered(self.roles, EDITED) + 1):
            metadata[f"instruction_{number}"] = instructions[number - 1]
            metadata[f"edited_caption_{number}"] = scenes[number].describe()[0]
        edited = scenes[1] if numbered(EDITED, 1) in self.roles else None
        asked = ask(dice(self.seed, key, "questions").random, scene, frozenset(self.hold_out), edited) if self.questions else ()
        images = {role: draw[role]() for role in self.roles if role in draw}
        return Sample(key, caption, images, turns=asked, detections=tuple(detections), poses=tuple(poses), metadata=metadata)

    def size(self, key: str) -> tuple[int, int]:
        """Width and height of a key's pictures."""
        return parse_size("sizes", pick(dice(self.seed, key, "size").random, self.sizes))

    def _pictures(self, key: str, scenes: list[Scene]) -> dict[str, Callable[[], bytes]]:
        """What draws each role; subjects only where the scene has as many things."""
        width, height = self.size(key)
        noise = dice(self.seed, key, "texture")
        grain = noise.randbytes(width * height) if noise.random() < self.texture_share else b""
        scene = scenes[0]
        draw: dict[str, Callable[[], bytes]] = {
            "image": lambda: draw_image(scene, width, height, grain),
            "segmentation": lambda: draw_segmentation(scene, width, height),
            "depth": lambda: draw_depth(scene, width, height),
            "normal": lambda: draw_normal(scene, width, height),
        }
        for number in range(1, len(scenes)):
            before, after = scenes[number - 1], scenes[number]
            draw[numbered(EDITED, number)] = partial(draw_image, after, width, height, grain)
            draw[numbered(MASK, number)] = partial(draw_mask, before, after, width, height)
        for number, thing in enumerate(scene.things, start=1):
            draw[numbered(SUBJECT, number)] = partial(draw_subject, thing, min(width, height))
        return draw
