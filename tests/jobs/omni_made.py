"""Drawn scenes and the dialogues of all tasks, for the tests that judge them; the scenes need a cut, some of them a deep one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.roles import numbered
from pipeline.samples import Conversation, ImageRef, Sample, Turn
from pipeline.sources.scene import Scene
from pipeline.sources.scene_people import HEAD, make_figure
from pipeline.sources.shapes import MAX_EDITS, ROLES, Shapes
from tests.jobs.omni_scenes import Bounds, Dialogue, Sight, bounds, converse, is_whole, look_at, place_of, told_apart
from tests.token_output import TEXT_TOKENIZER_PATH
from tokenizer.finisher import SequenceMaker
from tokenizer.framing import Framings
from tokenizer.options import TokenOptions
from tokenizer.tasks import TASKS
from tokenizer.tasks.grounding import Grounding
from tokenizer.tasks.interleaved import Interleaved
from tokenizer.tasks.referring import Referring
from tokenizer.tasks.subject import Subject
from tokenizer.tasks.task import WeightedTask

SIZES = ("300x200", "210x330", "256x256", "520x300", "500x110")
SOURCE = Shapes(1, seed=5, sizes=SIZES, gradient_share=0.0, people_share=0.5, questions=True, roles=ROLES)
NUM_SCENES = 16
VARIANTS = [(target_size, crop) for target_size in (128, 256) for crop in ("center", "random")]


@dataclass(frozen=True)
class ShowMasks:
    """No task of the project: the masks of all edits, cut as all pictures are."""

    def format(self, sample: Sample, framings: Framings, rng: object) -> Conversation:
        masks = tuple(ImageRef(numbered("mask", number)) for number in range(1, MAX_EDITS + 1))
        return Conversation(sample.key, "masks", (Turn("user", masks), Turn("assistant", ("Masks.",))))


INTERLEAVED = Interleaved(
    min_crop_side=24,
    min_head_side=8,
    crop_target_size=128,
    map_target_size=0,
    extra_maps=("depth",),
    extra_map_fraction=0.5,
    augment_fraction=0.4,
)
SPECIAL = {  # heads are small, and so are the pictures
    "grounding": Grounding(min_side=4),
    "referring": Referring(min_side=4),
    "subject": Subject(target_size=128),
    "interleaved": INTERLEAVED,
}
WEIGHTED = (*(WeightedTask(kind, SPECIAL.get(kind) or task()) for kind, task in TASKS.items()), WeightedTask("masks", ShowMasks()))


@dataclass(frozen=True)
class Made:
    """A scene, its sample, and the dialogues of all tasks that it can feed."""

    sample: Sample
    scene: Scene
    dialogues: Mapping[str, Dialogue]

    @property
    def picture(self) -> np.ndarray:
        """The main picture, cut."""
        return self.dialogues["no_edit"].pictures[0]

    @cached_property
    def sight(self) -> Sight:
        """Of the main picture."""
        return look_at(self.picture, self.scene)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the original, pixels."""
        return self.sample.headers["image"].width, self.sample.headers["image"].height


def make_maker(target_size: int, crop: str, tasks: tuple[WeightedTask, ...] = WEIGHTED) -> SequenceMaker:
    """Ready to use; every task is drawn for every sample that can feed it."""
    options = TokenOptions(target_size, crop=crop, text=TEXT_TOKENIZER_PATH, max_tokens=100_000)
    maker = SequenceMaker(options, tasks, seed=3)
    maker.setup()
    return maker


def make(target_size: int, crop: str, source: Shapes = SOURCE) -> list[Made]:
    maker = make_maker(target_size, crop)
    return [Made(sample, source.scene(sample.key), converse(maker, sample)) for sample in told_apart(source, NUM_SCENES)]


def named_bounds(one: Made, phrase: str) -> Bounds | None:
    """Where on the cut picture is what a phrase names; None for the head of a person that is not seen whole."""
    seen = one.sight.seen
    if phrase != HEAD:
        [number] = [number for number, thing in enumerate(one.scene.things) if thing.phrase == phrase]
        return bounds(seen == number)
    [(number, person)] = [(number, thing) for number, thing in enumerate(one.scene.things) if thing.posture is not None]
    if not is_whole(seen == number):
        return None
    x0, y0, x1, y1 = person.box(*one.size, make_figure(person.posture).head_extent)
    place = place_of(person, one.size, seen == number)
    return (*map(round, place.at(x0, y0)), *map(round, place.at(x1, y1)))
