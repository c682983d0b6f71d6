"""What is true of drawn scenes before the VQ is written in a run's tokens, and seen on what the bundled VQ decodes from them.

Bounds are what was measured over these scenes with a margin; the VQ loses much, but moves nothing, and each bound fails at a shift of 16
pixels: the side of one code.

    measured                                            in line          16 pixels off
    segmentation, right of the things' pixels, mean     0.98             0.36
    depth, correlation with the true map                0.88 to 0.99     at most 0.61
    skeleton, share of what is bright that lies on it   at least 0.99    0.47
    edit of a thing, difference there by that outside   26 to 83
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.inspection.decode import image_codes, load_vq
from jobs.inspection.dialogue import cut_into_pieces
from jobs.recipe import load_recipe
from pipeline.samples import IMAGE_MARK, TokenSequence
from pipeline.shards.reader import TokenShards
from pipeline.sources.scene import changed_thing
from pipeline.sources.shapes import Shapes
from tests.jobs.omni_made import Made, named_bounds
from tests.jobs.omni_maps import PALETTE
from tests.jobs.omni_scenes import GROUND, converse, draft_name, widen, with_headers
from tokenizer.finisher import SequenceMaker
from tokenizer.text import TextTokenizer

SHIFT = 16  # pixels of a code's side
SOURCE = Shapes(
    16, seed=5, sizes=("256x256", "320x240"), gradient_share=0.0, people_share=0.4, roles=("image", "depth", "segmentation", "edited_1")
)
KINDS = ("depth", "segmentation", "pose", "grounding", "editing", "no_edit", "captioning")
RECIPE = f"""
seed = 3
[source]
kind = "shapes"
count = {SOURCE.count}
seed = {SOURCE.seed}
sizes = {list(SOURCE.sizes)}
gradient_share = {SOURCE.gradient_share}
people_share = {SOURCE.people_share}
roles = {list(SOURCE.roles)}
[tokens]
target_size = 256
crop = "random"
vq = {{ kind = "chameleon", dtype = "float32" }}
{"".join(f'[[task]]{chr(10)}kind = "{kind}"{chr(10)}' for kind in KINDS)}
[[task]]
kind = "grounding"
width = 8
"""


@dataclass(frozen=True, eq=False)
class Written:
    """A scene with what was made of it before the VQ, and what a run's tokens say."""

    made: Made
    sequences: dict[str, TokenSequence]  # by name
    said: dict[str, tuple[str, ...]]  # the words of each turn, with IMAGE_MARK where a picture stands
    codes: dict[str, list[np.ndarray]]  # of each picture of a sequence
    decoded: dict[str, list[np.ndarray]]  # uint8 [H, W, 3] of each


@pytest.fixture(scope="module")
def written(tmp_path_factory, one_thread) -> list[Written]:
    folder: Path = tmp_path_factory.mktemp("omni")
    (folder / "recipe.toml").write_text(f'output = "{folder}/out"\n{RECIPE}')
    assert main(["prepare", str(folder / "recipe.toml")]) == 0
    shards = TokenShards(str(folder / "out"))
    vq, text = load_vq(shards.manifest), TextTokenizer(shards.text_tokenizer)
    recipe = load_recipe(str(folder / "recipe.toml"), [])
    maker = SequenceMaker(recipe.tokens, recipe.tasks, recipe.seed)
    maker.setup()
    pictures: dict[bytes, np.ndarray] = {}  # each is decoded once
    result = []
    for sample in map(with_headers, SOURCE.read(SOURCE.plan(SOURCE.count)[0])):
        made = Made(sample, SOURCE.scene(sample.key), converse(maker, sample))
        found = [shards.read(number) for number in shards.find(sample.key)]
        sequences = {draft_name(sequence.task, sequence.metadata): sequence for sequence in found}
        codes = {name: list(image_codes(sequence, text.vocab)) for name, sequence in sequences.items()}
        for codes_HW in (codes_HW for of_one in codes.values() for codes_HW in of_one):
            if codes_HW.tobytes() not in pictures:
                pictures[codes_HW.tobytes()] = vq.decode(codes_HW[None])[0]
        decoded = {name: [pictures[codes_HW.tobytes()] for codes_HW in of_one] for name, of_one in codes.items()}
        said = {name: words_of(sequence, text) for name, sequence in sequences.items()}
        result.append(Written(made, sequences, said, codes, decoded))
    return result


def words_of(sequence: TokenSequence, text: TextTokenizer) -> tuple[str, ...]:
    """What the turns of a sequence say, read from its tokens."""
    turns = [""]
    for piece in cut_into_pieces(sequence, text):
        if piece.kind == "end of turn":
            turns.append("")
        elif piece.kind in ("text", "image"):
            turns[-1] += IMAGE_MARK if piece.kind == "image" else piece.words
    return tuple(turns[:-1])


def moved(picture: np.ndarray) -> np.ndarray:
    return np.roll(picture, SHIFT, axis=(0, 1))


def test_tokens_say_what_the_tasks_said_and_show_pictures_of_the_same_sizes(written):
    for one in written:
        assert {*one.sequences} == {*one.made.dialogues} >= {*KINDS, "grounding 1"} - {"pose"}
        for name, dialogue in one.made.dialogues.items():
            assert one.said[name] == dialogue.words
            assert [picture.shape for picture in one.decoded[name]] == [picture.shape for picture in dialogue.pictures]
            images = one.sequences[name].images
            assert [(image.height, image.width, 3) for image in images] == [picture.shape for picture in dialogue.pictures]
    assert sum("pose" in one.sequences for one in written) == sum(bool(one.made.sample.poses) for one in written) >= 5


def test_no_edit_answers_with_the_very_codes_of_its_picture(written):
    for one in written:
        asked, answered = one.codes["no_edit"]
        assert (asked == answered).all()
        first, second = one.sequences["no_edit"].images
        ids = one.sequences["no_edit"].input_ids
        assert (ids[first.start : first.start + 50] == ids[second.start : second.start + 50]).all()
        assert all((one.codes[name][0] == asked).all() for name in ("depth", "segmentation", "grounding", "editing", "captioning"))


def test_decoded_segmentation_has_the_true_classes_where_the_picture_shows_them(written):
    right: dict[bool, list[float]] = {False: [], True: []}
    everywhere = []
    for one in written:
        true, decoded = (one.made.dialogues["segmentation"].pictures[1], one.decoded["segmentation"][1])
        named, wanted = nearest_class(decoded), nearest_class(true)
        sure = ~widen(borders(wanted), 4)
        everywhere.append((named == wanted)[sure].mean())
        for is_moved in (False, True):
            same = (moved(named) if is_moved else named) == wanted
            right[is_moved].append(same[sure & (one.made.sight.seen != GROUND)].mean())
    assert min(everywhere) >= 0.97 and np.mean(everywhere) >= 0.99
    assert np.mean(right[False]) >= 0.95
    assert np.mean(right[True]) <= 0.5 and max(right[True]) <= 0.85, "a shift would be seen"


def nearest_class(picture: np.ndarray) -> np.ndarray:
    """[H, W] int: the class whose colour is nearest."""
    return np.argmin([np.abs(picture.astype(int) - color).sum(axis=2) for color in PALETTE], axis=0)


def borders(classes: np.ndarray) -> np.ndarray:
    """[H, W] bool: pixels beside one of another class, below or to the right."""
    found = np.zeros(classes.shape, bool)
    found[:-1] |= classes[:-1] != classes[1:]
    found[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    return found


def test_decoded_depth_goes_with_the_true_map(written):
    aligned, shifted = [], []
    for one in written:
        true, decoded = one.made.dialogues["depth"].pictures[1][..., 0], one.decoded["depth"][1].mean(axis=2)
        aligned.append(correlation(true, decoded))
        shifted.append(correlation(true, moved(decoded)))
    assert min(aligned) >= 0.85 and np.mean(aligned) >= 0.94
    assert max(shifted) <= 0.7 and np.mean(shifted) <= 0.5, "a shift would be seen"


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_what_is_bright_of_a_decoded_skeleton_lies_on_the_true_one(written):
    found = []
    for one in (one for one in written if "pose" in one.sequences):
        true, decoded = (picture.max(axis=2) for picture in (one.made.dialogues["pose"].pictures[1], one.decoded["pose"][1]))
        near, bright = widen(true > 0, 4), decoded > 60
        found.append((near[bright].mean(), near[moved(bright)].mean(), bright.sum() / (true > 0).sum()))
    aligned, shifted, how_much = np.array(found).T
    assert aligned.min() > 0.95 and shifted.mean() < 0.6 and how_much.min() > 0.3


def test_a_decoded_edit_differs_from_the_decoded_picture_where_the_edit_is(written):
    num_things = 0
    for one in written:
        scenes, _ = SOURCE.edits(one.made.sample.key)
        before, after = one.made.dialogues["editing"].pictures
        changed = (before != after).any(axis=2)
        differs = np.abs(np.subtract(*one.decoded["editing"], dtype=int)).sum(axis=2)
        if changed_thing(scenes[0], scenes[1]) is None:
            assert differs[changed].mean() > 1.5 * differs[~changed].mean(), one.made.sample.key
        else:
            num_things += 1
            assert differs[changed].mean() > 15 * differs[~changed].mean() and changed.mean() < 0.2, one.made.sample.key
            assert differs[changed].mean() > 1.4 * differs[moved(changed)].mean()
    assert 5 <= num_things < SOURCE.count


@pytest.mark.parametrize("name, width, least", [("grounding", 3, 0.9), ("grounding 1", 8, 1.0)])
def test_the_box_is_found_on_the_decoded_answer_around_what_was_asked_for(written, name, width, least):
    hits = []
    for one in written:
        if (wanted := named_bounds(one.made, one.sequences[name].metadata["phrase"])) is None:
            continue
        asked, answered = one.decoded[name]
        redder = np.clip(redness(answered) - redness(asked), 0, None)
        x0, y0, x1, y1 = wanted
        frame = np.zeros(redder.shape, bool)
        frame[y0:y1, x0:x1] = True
        frame[y0 + width : y1 - width, x0 + width : x1 - width] = False
        hits.append(best_shift(frame, redder) == (0, 0))
    assert len(hits) >= 12 and np.mean(hits) >= least


def redness(picture: np.ndarray) -> np.ndarray:
    """[H, W] int: red beyond the other channels."""
    return picture[..., 0].astype(int) - picture[..., 1:].max(axis=2)


def best_shift(frame: np.ndarray, strength: np.ndarray, reach: int = 48, step: int = 8) -> tuple[int, int]:
    """By how many pixels, down and right, a frame is moved that gathers the most strength."""
    rows, columns = np.nonzero(frame)
    padded = np.pad(strength, reach)
    shifts = range(-reach, reach + 1, step)
    return max(
        ((y, x) for y in shifts for x in shifts), key=lambda shift: padded[rows + reach + shift[0], columns + reach + shift[1]].sum()
    )
