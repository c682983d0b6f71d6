"""SEED-Data-Edit, as it is published: one turn and several, each line a sample."""

import json
import re
from copy import deepcopy

import pytest

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import BadSample, Sample
from pipeline.sources.seed_data_edit import SeedDataEdit

ONE_TURN = {
    "source_image": "source_images/f6f4d0669694df5b.jpg",
    "target_image": "target_images/f6f4d0669694df5b.jpg",
    "instruction": "Erase the car that is parked in front of the Roebuck building.",
}
TURNS = "20240330_315P_1323turns/Data/1"
MULTI_TURN = {
    "source_image": f"{TURNS}/0.png",
    "instruction_1": "add a hat",
    "inverse_instruction_1": "remove the hat",
    "edit_image_1": f"{TURNS}/1.png",
    "instruction_2": "make it red",
    "inverse_instruction_2": "make it black",
    "edit_image_2": f"{TURNS}/2.png",
}


def write(tmp_path, part, lines, folder="annotations", name="split_0001.jsonl"):
    """A part as it lies once it is unpacked; every picture's bytes are its name."""
    (tmp_path / part / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / part / folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    for record in (ONE_TURN, MULTI_TURN):
        for picture in (value for field, value in record.items() if "image" in field):
            path = tmp_path / part / "images" / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.encode())
    return str(tmp_path / part / folder)


def read(source, unit_size=100):
    units = source.plan(unit_size)
    source = deepcopy(source)  # as it travels to a worker
    return [sample for unit in units for sample in source.read(unit)]


def test_one_turn_is_read(tmp_path):
    [sample] = read(SeedDataEdit(write(tmp_path, "real_editing", [ONE_TURN])))
    assert sample == Sample(
        "real_editing/annotations/split_0001/0",
        images={"image": ONE_TURN["source_image"].encode(), "edited_1": ONE_TURN["target_image"].encode()},
        metadata={"instruction_1": ONE_TURN["instruction"]},
    )
    assert list(sample.images) == ["image", "edited_1"]


def test_several_turns_are_read(tmp_path):
    [sample] = read(SeedDataEdit(write(tmp_path, "multi_turn_editing", [MULTI_TURN])))
    assert sample == Sample(
        "multi_turn_editing/annotations/split_0001/0",
        images={role: f"{TURNS}/{n}.png".encode() for n, role in enumerate(("image", "edited_1", "edited_2"))},
        metadata={
            "instruction_1": "add a hat",
            "instruction_2": "make it red",
            "inverse_instruction_1": "remove the hat",
            "inverse_instruction_2": "make it black",
        },
    )


def test_turns_that_are_null_are_not_there(tmp_path):
    line = {**MULTI_TURN, "instruction_3": None, "edit_image_3": None, "target_image": None}
    [sample] = read(SeedDataEdit(write(tmp_path, "multi_turn_editing", [line])))
    assert list(sample.images) == ["image", "edited_1", "edited_2"]


def test_instructions_that_were_written_anew_are_taken_or_not(tmp_path):
    line = {**ONE_TURN, "instruction_new": "Please remove the car.", "response": "Sure."}
    path = write(tmp_path, "openimages", [line, ONE_TURN], folder="annotations_GPT4V")
    anew, old = read(SeedDataEdit(path))
    assert anew.key == "openimages/annotations_GPT4V/split_0001/0"
    assert anew.metadata == {"instruction_1": "Please remove the car.", "instruction": ONE_TURN["instruction"], "response": "Sure."}
    assert old.metadata == {"instruction_1": ONE_TURN["instruction"]}
    anew, _ = read(SeedDataEdit(path, rewritten=False))
    assert anew.metadata["instruction_1"] == ONE_TURN["instruction"]


@pytest.mark.parametrize("unit_size", [1, 2, 100])
def test_parts_are_read_together_and_their_keys_do_not_meet(tmp_path, unit_size):
    parts = [
        write(tmp_path, "real_editing", [ONE_TURN] * 3),
        write(tmp_path, "real_editing", [ONE_TURN], name="split_0002.jsonl"),
        write(tmp_path, "multi_turn_editing", [MULTI_TURN] * 2),
    ]
    samples = read(SeedDataEdit(f"{parts[0]}::{parts[2]}"), unit_size)
    real, multi = "real_editing/annotations/split_000", "multi_turn_editing/annotations/split_0001"
    assert [s.key for s in samples] == [f"{real}1/0", f"{real}1/1", f"{real}1/2", f"{real}2/0", f"{multi}/0", f"{multi}/1"]
    assert [s.key for s in read(SeedDataEdit(f"{parts[0]}/split_0002.jsonl"), unit_size)] == [f"{real}2/0"]
    assert [len(s.images) for s in samples] == [2, 2, 2, 2, 3, 3]


def test_pictures_may_lie_below_another_root(tmp_path):
    path = write(tmp_path, "real_editing", [ONE_TURN])
    (tmp_path / "real_editing" / "images").rename(tmp_path / "elsewhere")
    assert [item.reason for item in read(SeedDataEdit(path))] == ["missing_image"]
    assert [type(item) for item in read(SeedDataEdit(path, image_root=str(tmp_path / "elsewhere")))] == [Sample]


def without(line, *fields):
    return {name: value for name, value in line.items() if name not in fields}


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        ({**ONE_TURN, "target_image": "gone.jpg"}, "missing_image", r"images/gone\.jpg: FileNotFoundError"),
        ({**MULTI_TURN, "edit_image_2": "gone.png"}, "missing_image", r"images/gone\.png: FileNotFoundError"),
        ({**MULTI_TURN, "source_image": "gone.png"}, "missing_image", r"images/gone\.png: FileNotFoundError"),
        ({**ONE_TURN, "instruction": None}, "bad_field", "instruction is no text but None"),
        ({**ONE_TURN, "instruction": " \n"}, "bad_field", "instruction is no text but"),
        ({**ONE_TURN, "target_image": 7}, "bad_field", "target_image is no text but 7"),
        (without(ONE_TURN, "source_image"), "bad_field", "source_image is no text but None"),
        (without(ONE_TURN, "target_image"), "bad_field", "neither target_image nor edit_image_1 is there, only source_image, instruction"),
        (without(MULTI_TURN, "instruction_1"), "bad_field", "instruction_1 is no text but None"),
        (without(MULTI_TURN, "edit_image_2"), "bad_turns", "instruction_2 is there, but edit_image_2 is not"),
        ({**MULTI_TURN, "edit_image_4": f"{TURNS}/2.png"}, "bad_turns", "edit_image_4 is there, but edit_image_3 is not"),
        ([], "bad_field", "wants an object"),
        ({**ONE_TURN, "instruction": "\ud83d"}, "text_not_utf8", r"\\ud83d"),
    ],
)
def test_a_bad_line_fails_alone_and_is_named(tmp_path, bad, reason, message):
    path = write(tmp_path, "real_editing", [ONE_TURN, bad, ONE_TURN])
    first, second, third = read(SeedDataEdit(path))
    assert isinstance(second, BadSample) and (second.key, second.reason) == ("real_editing/annotations/split_0001/1", reason)
    assert re.search(message, second.message)
    assert second.message.startswith(f"{path}/split_0001.jsonl:2: ")
    assert isinstance(first, Sample) and isinstance(third, Sample)


def test_a_line_that_does_not_parse_fails_alone(tmp_path):
    path = write(tmp_path, "real_editing", [ONE_TURN])
    with open(f"{path}/split_0001.jsonl", "a") as file:
        file.write("{broken\n" + json.dumps(ONE_TURN))
    assert [getattr(item, "reason", "") for item in read(SeedDataEdit(path))] == ["", "bad_json", ""]


def test_a_folder_without_lines_is_refused_and_a_file_that_went_away_fails_its_unit(tmp_path):
    path = write(tmp_path, "real_editing", [ONE_TURN])
    source = SeedDataEdit(path)
    [unit] = source.plan(10)
    file = f"{path}/split_0001.jsonl"
    assert list(source.fingerprint()) == [file]
    (tmp_path / "real_editing" / "annotations" / "split_0001.jsonl").unlink()
    with pytest.raises(ShardError, match="split_0001"):
        list(source.read(unit))
    with pytest.raises(RecipeError, match=r"no \.jsonl file in this folder"):
        SeedDataEdit(path).plan(10)
    write(tmp_path, "real_editing", [])
    with pytest.raises(RecipeError, match="no item in 1 files"):
        SeedDataEdit(path).plan(10)
