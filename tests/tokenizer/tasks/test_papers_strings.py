"""The paper's dialogues, byte for byte, by default; and from pictures the ids that the reference made of the same dialogues."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.images import read_header
from pipeline.samples import Conversation, Detection, ImageRef, Sample, TokenSequence, Turn
from pipeline.unit_job import Work
from tests.conftest import GOLDEN
from tests.tokenizer.tasks.samples import PICTURE, format_once, framing
from tokenizer.finisher import SequenceMaker
from tokenizer.framing import Framings
from tokenizer.layout import ids_to_image
from tokenizer.options import TokenOptions
from tokenizer.tasks import TASKS
from tokenizer.tasks.task import Task, WeightedTask
from tokenizer.tasks.text_to_image import TextToImage
from tokenizer.vocab import Vocab
from tokenizer.vq import ChameleonVQ

MARK = "<|image|>"
CONDITIONS = ("depth", "normal", "pose", "segmentation", "canny", "hed", "sketch")
EVERYTHING = {
    "image": framing(768, 512),
    **{role: framing(768, 512) for role in (*CONDITIONS, "edited_1", "edited_2")},
    **{f"image_{number}": framing() for number in (1, 2)},
    **{f"view_{number}": framing(800, 800) for number in range(1, 17)},
}
SAMPLE = Sample(
    "fox",
    caption="a red fox, at dusk",
    images=dict.fromkeys(EVERYTHING, b"picture"),
    turns=(
        Turn("user", ("What if I use this tool on the porcelain? ", ImageRef("image_1"))),
        Turn("assistant", ("It breaks.",)),
        Turn("user", (ImageRef("image_2"), " And here?")),
        Turn("assistant", ("Nothing.",)),
    ),
    detections=(Detection("The red apple", (0.2, 0.2, 0.6, 0.6), 0.9),),
    metadata={"instruction_1": "Remove the cup in the background.", "instruction_2": "Add a spoon."},
)
TEXT = Sample("primes", turns=(Turn("user", ("Name three primes.",)), Turn("assistant", ("2, 3 and 5.",))))
CONTROL = "Generate an image according to the provided image, and according to the following caption:\na red fox, at dusk <|image|>"
ROWS: dict[str, tuple[Task, list[str]]] = {
    "text to image": (
        TASKS["text_to_image"](),
        ["Generate an image of 768x512 according to the following prompt:\na red fox, at dusk", MARK],
    ),
    "text to image, size unstated": (
        TextToImage(unstated_size_fraction=1.0),
        ["Generate an image according to the following prompt:\na red fox, at dusk", MARK],
    ),
    "captioning": (TASKS["captioning"](), ["Describe the image in detail. <|image|>", "a red fox, at dusk"]),
    "vqa": (
        TASKS["vqa"](),
        ["What if I use this tool on the porcelain? <|image|>", "It breaks.", "<|image|> And here?", "Nothing."],
    ),
    "text only": (TASKS["text_only"](), ["Name three primes.", "2, 3 and 5."]),
    "depth": (TASKS["depth"](), ["Depth estimation. <|image|>", MARK]),
    "surface normals": (TASKS["normal"](), ["Surface normal estimation. <|image|>", MARK]),
    "human pose": (TASKS["pose"](), ["Human pose estimation. <|image|>", MARK]),
    "semantic segmentation": (TASKS["segmentation"](), ["Semantic segmentation. <|image|>", MARK]),
    "grounding": (TASKS["grounding"](), ["Detect: The red apple. <|image|>", MARK]),
    "control": (TASKS["control"](), [CONTROL, MARK]),
    "editing": (TASKS["editing"](), ["Remove the cup in the background. <|image|>", MARK, "Add a spoon.", MARK]),
    "multiview": (
        TASKS["multiview"](),
        ["Generate 16 object views of 384x384 according to the following prompt: a red fox, at dusk", MARK * 16],
    ),
    "no edit": (TASKS["no_edit"](), ["No edit. <|image|>", MARK]),
    "referring": (TASKS["referring"](), ["What is in the box? <|image|>", "The red apple"]),
    "subject": (
        TASKS["subject"](),
        ["Generate an image of 768x512 that shows the subject of <|image|> according to the following prompt:\na red fox, at dusk", MARK],
    ),
}


def spell(turn: Turn) -> str:
    return "".join(MARK if isinstance(part, ImageRef) else part for part in turn.content)


def only(task: Task, sample: Sample, framings: Framings) -> Conversation:
    result = format_once(task, sample, framings)
    assert isinstance(result, Conversation), result
    return result


@pytest.mark.parametrize("row", ROWS)
def test_every_dialogue_is_the_papers_byte_for_byte(row):
    task, wanted = ROWS[row]
    sample, framings = (TEXT, {}) if row == "text only" else (SAMPLE, EVERYTHING | {"subject_1": framing()})
    turns = only(task, sample, framings).turns
    assert [spell(turn) for turn in turns] == wanted
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(wanted) // 2)


def test_every_task_has_its_row_but_those_whose_words_are_the_samples():
    tasks = {type(task) for task, _ in ROWS.values()}
    assert {kind for kind, cls in TASKS.items() if cls not in tasks} == {"conversation", "interleaved"}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_asks_in_the_same_words(condition):
    turns = only(TASKS["control"](), SAMPLE, {"image": framing(768, 512), condition: framing(768, 512)}).turns
    assert [spell(turn) for turn in turns] == [CONTROL, MARK]
    assert turns[0].content[1] == ImageRef(condition)


@pytest.mark.parametrize("task, sides", [("grounding", (0, 1)), ("referring", (1, 0))])
def test_the_box_is_drawn_on_the_answer_or_on_the_question(task, sides):
    turns = only(TASKS[task](), SAMPLE, EVERYTHING).turns
    marks = [sum(len(part.marks) for part in turn.content if isinstance(part, ImageRef)) for turn in turns]
    assert tuple(marks) == sides


@pytest.fixture(scope="module")
def vq(one_thread):
    folder = GOLDEN / "tokenizer"
    return ChameleonVQ(str(folder / "vqgan.yaml"), str(folder / "vqgan.ckpt")).load()


def golden_item(golden: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in golden["conversations"] if item["name"] == name)


def make_sample(item: dict[str, Any], *, caption: str = "", with_turns: bool = False) -> Sample:
    """A golden dialogue's pictures, and its turns as a source brings them."""
    roles = ["image"] if len(item["images"]) == 1 else [f"image_{number}" for number in range(1, len(item["images"]) + 1)]
    images = {role: (GOLDEN / name).read_bytes() for role, name in zip(roles, item["images"], strict=True)}
    left = iter(roles)
    turns = []
    for turn in item["conversations"] if with_turns else []:
        first, *others = turn["value"].split(MARK)
        parts = [first, *(part for words in others for part in (ImageRef(next(left)), words))]
        turns.append(Turn("user" if turn["from"] == "human" else "assistant", tuple(part for part in parts if part)))
    return Sample(item["name"], caption, images, {role: read_header(data) for role, data in images.items()}, tuple(turns))


def make(kind: str) -> SequenceMaker:
    options = TokenOptions(target_size=256, text=str(GOLDEN / "tokenizer" / "text_tokenizer.json"))
    maker = SequenceMaker(options, (WeightedTask(kind, TASKS[kind]()),), seed=0)
    maker.setup()
    return maker


def encode(kind: str, sample: Sample, vq: Any) -> TokenSequence:
    maker = make(kind)
    work = maker.work(sample)
    assert isinstance(work, Work), work
    [sequence] = maker.finish(work, [vq.encode(pixels[None])[0] for pixels in maker.pixels(sample, work)])
    return sequence


def check_equal(sequence: TokenSequence, item: dict[str, Any], vocab: Vocab) -> None:
    """All spans and all ids; of the codes one in a hundred may differ, for sums end in other last bits on other processors."""
    assert [list(span) for span in sequence.loss_spans] == item["loss_spans"]
    ids, wanted = sequence.input_ids.astype(int), np.array(item["input_ids"])
    assert len(ids) == len(wanted)
    are_codes = vocab.id_to_code[wanted] >= 0
    assert (ids[~are_codes] == wanted[~are_codes]).all()
    assert (ids != wanted).sum() * 100 <= are_codes.sum()


@pytest.mark.parametrize("name, kind", [("vqa_multi_turn", "vqa"), ("implicit_image", "vqa"), ("text_only", "text_only")])
def test_golden_dialogues_come_out_of_their_own_turns(name, kind, golden, vocab, vq):
    item = golden_item(golden, name)
    sample = make_sample(item, with_turns=True)
    if name == "implicit_image":
        assert not any(isinstance(part, ImageRef) for turn in sample.turns for part in turn.content)
    check_equal(encode(kind, sample, vq), item, vocab)


@pytest.mark.parametrize("name", ["dense", "multi_turn_edit"])
def test_golden_dialogues_of_pictures_that_do_not_line_up_come_out_word_for_word(name, golden, vocab, vq):
    item = golden_item(golden, name)
    check_equal(encode("conversation", make_sample(item, with_turns=True), vq), item, vocab)


@pytest.mark.parametrize("name", ["captioning", "unicode"])
def test_golden_captions_come_out(name, golden, vocab, vq):
    item = golden_item(golden, name)
    check_equal(encode("captioning", make_sample(item, caption=item["conversations"][1]["value"]), vq), item, vocab)


def test_the_golden_prompt_and_its_picture_come_out(golden, vocab, vq):
    item = golden_item(golden, "text_to_image")
    check_equal(encode("text_to_image", make_sample(item, caption="A portrait, in warm light."), vq), item, vocab)


def blocks(golden: dict[str, Any], vocab: Vocab) -> dict[str, np.ndarray]:
    return {image["image"].removeprefix("images/"): np.array(image["input_ids"]) for image in golden["images"]}


def lay_out(kind: str, sample: Sample, codes: dict[str, np.ndarray]) -> TokenSequence:
    """With these codes by role: the pixels of maps are not what is asked about here."""
    maker = make(kind)
    work = maker.work(sample)
    assert isinstance(work, Work), work
    [sequence] = maker.finish(work, [codes[picture.ref.name] for picture in work.pictures])
    return sequence


def test_the_golden_depth_dialogue_comes_out_around_a_map_that_lines_up(golden, vocab):
    """The golden answer has other proportions than its question, so that another golden picture takes its place."""
    item = golden_item(golden, "dense")
    images = blocks(golden, vocab)
    files = {"image": "astronaut_x1.png", "depth": "gray.png"}
    data = {role: (GOLDEN / "images" / name).read_bytes() for role, name in files.items()}
    sample = Sample("dense", images=data, headers={role: read_header(picture) for role, picture in data.items()})
    sequence = lay_out("depth", sample, {role: ids_to_image(images[name], vocab) for role, name in files.items()})
    question = item["generation_prompt"]
    assert sequence.input_ids.tolist() == [*question, *images["gray.png"].tolist(), vocab.end_of_turn]
    assert sequence.loss_spans == ((len(question), len(sequence.input_ids)),)
    assert item["loss_spans"][0][0] == len(question)


def test_the_golden_edit_comes_out_around_pictures_that_line_up(golden, vocab):
    item = golden_item(golden, "multi_turn_edit")
    images = blocks(golden, vocab)
    files = {"image": "astronaut_x1.png", "edited_1": "rgba.png", "edited_2": "gray_alpha.png"}
    data = {role: (GOLDEN / "images" / name).read_bytes() for role, name in files.items()}
    headers = {role: read_header(picture) for role, picture in data.items()}
    words = {"instruction_1": "Remove the cup in the background.", "instruction_2": "Now add a spoon."}
    sample = Sample("edit", images=data, headers=headers, metadata=words)
    sequence = lay_out("editing", sample, {role: ids_to_image(images[name], vocab) for role, name in files.items()})
    (start, stop), (second, _) = item["loss_spans"]
    first, follow_up = item["input_ids"][:start], item["input_ids"][stop:second]
    assert sequence.input_ids.tolist() == [
        *first,
        *images["rgba.png"].tolist(),
        vocab.end_of_turn,
        *follow_up,
        *images["gray_alpha.png"].tolist(),
        vocab.end_of_turn,
    ]


def test_no_edit_answers_with_the_codes_of_the_question(vocab, vq):
    data = (GOLDEN / "images" / "astronaut_x1.png").read_bytes()
    sample = replace(PICTURE, images={"image": data}, headers={"image": read_header(data)})
    sequence = encode("no_edit", sample, vq)
    one, other = (sequence.input_ids[span.start : span.start + 276] for span in sequence.images)
    assert (one == other).all()
    assert other[-1] == vocab.end_of_image
    assert sequence.loss_spans == ((sequence.images[1].start, len(sequence.input_ids)),)
