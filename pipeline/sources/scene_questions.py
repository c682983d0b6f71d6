"""Questions about a drawn scene, with answers that are true: a dialogue over its picture, and over the edited one.

How many things are in the picture? <image>    Two.
What is left of the small red star?            A large green square.
What changed in this picture? <image>          The small red star is now blue.
"""

from collections.abc import Callable

from pipeline.roles import EDITED, numbered
from pipeline.samples import ImageRef, Turn
from pipeline.sources.scene import COLORS, PLACES, Dice, Scene, changed_thing, pick, with_article
from pipeline.sources.scene_people import PERSON
from pipeline.sources.scene_shapes import SHAPES

MIN_QUESTIONS, MAX_QUESTIONS = 2, 4  # about the picture itself
CHANGE_ASKED = 0.5  # of the dialogues go on with the edited picture, where there is one
NUMBERS = ("None", "One", "Two", "Three")

QuestionMaker = Callable[[Dice, Scene, frozenset[str]], tuple[str, str] | None]  # question and answer; None: not of this scene


def ask(dice: Dice, scene: Scene, hold_out: frozenset[str], edited: Scene | None = None) -> tuple[Turn, ...]:
    """A dialogue about a scene; no question is asked twice.

    Args:
        hold_out: "red circle", ...: never spoken of.
        edited: What the first edit made of the scene, where its picture is drawn.
    """
    wanted = MIN_QUESTIONS + int(dice() * (MAX_QUESTIONS - MIN_QUESTIONS + 1))
    left, turns = list(QUESTIONS), list[Turn]()
    while left and len(turns) < 2 * wanted:
        make = pick(dice, left)
        left.remove(make)
        if (made := make(dice, scene, hold_out)) is not None:
            question, answer = made
            turns += [Turn("user", (question,) if turns else (f"{question} ", ImageRef("image"))), Turn("assistant", (answer,))]
    if edited is not None and dice() < CHANGE_ASKED:
        turns.append(Turn("user", ("What changed in this picture? ", ImageRef(numbered(EDITED, 1)))))
        turns.append(Turn("assistant", (describe_change(scene, edited),)))
    return tuple(turns)


def describe_change(before: Scene, after: Scene) -> str:
    """What an edit did: "The small red star is now blue."""
    index = changed_thing(before, after)
    if index is None:
        return f"The ground is now {after.ground}."
    old, new = before.things[index], after.things[index]
    return f"The {old.phrase} is now {new.color if new.color != old.color else with_article(new.shape)}."


def _count(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str]:
    return "How many things are in the picture?", f"{NUMBERS[len(scene.things)]}."


def _color_of_thing(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str] | None:
    shapes = [thing.shape for thing in scene.things]
    if not (single := [thing for thing in scene.things if shapes.count(thing.shape) == 1]):
        return None
    thing = pick(dice, single)
    return f"What colour is the {thing.shape}?", f"{thing.color.capitalize()}."


def _thing_of_color(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str] | None:
    colors = [thing.color for thing in scene.things]
    if not (single := [thing for thing in scene.things if colors.count(thing.color) == 1]):
        return None
    thing = pick(dice, single)
    return f"What is {thing.color}?", f"The {thing.shape}."


def _is_there(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str]:
    """Half of them is; what is not shares its colour or its shape with something that is."""
    colors, shapes = ({getattr(thing, name) for thing in scene.things} for name in ("color", "shape"))
    known = (*SHAPES, PERSON) if PERSON in shapes else SHAPES
    there = [(thing.color, thing.shape) for thing in scene.things]
    near = [(c, s) for c in COLORS for s in known if (c in colors or s in shapes) and (c, s) not in there]
    absent = [(c, s) for c, s in near if f"{c} {s}" not in hold_out]
    is_there = dice() < 0.5 or not absent
    color, shape = pick(dice, there if is_there else absent)
    return f"Is there {with_article(f'{color} {shape}')}?", "Yes." if is_there else "No."


def _beside(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str] | None:
    if len(scene.things) == 1:
        return None
    before, after = ("left of", "right of") if scene.layout == "row" else ("above", "below")
    index, is_before = int(dice() * len(scene.things)), dice() < 0.5
    others = scene.things[:index] if is_before else scene.things[index + 1 :]
    names = " and ".join(with_article(thing.phrase) for thing in others) or "nothing"
    return f"What is {before if is_before else after} the {scene.things[index].phrase}?", f"{names.capitalize()}."


def _ground(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str]:
    return "What colour is the ground?", (
        f"It fades from {scene.ground} to {scene.ground_end}." if scene.ground_end else f"{scene.ground.capitalize()}."
    )


def _where(dice: Dice, scene: Scene, hold_out: frozenset[str]) -> tuple[str, str] | None:
    if len(scene.things) > 1:
        return None
    thing = scene.things[0]
    place = min(PLACES, key=lambda name: abs(PLACES[name][0] - thing.x) + abs(PLACES[name][1] - thing.y))
    return f"Where is the {thing.shape}?", f"{place.capitalize()}."


QUESTIONS: tuple[QuestionMaker, ...] = (_count, _color_of_thing, _thing_of_color, _is_there, _beside, _ground, _where)
