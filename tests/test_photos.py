"""The photographs in `examples/photos`: complete, readable, captioned, and free to be passed on."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.images import EXIF_ORIENTATION, decode_rgb, read_header

FOLDER = Path(__file__).parents[1] / "examples" / "photos"
LICENSES = {"public-domain", "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0"}
MAX_BYTES = 4_000_000  # of the whole folder: it is in every clone
ROWS = [json.loads(line) for line in (FOLDER / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def by_name(row):
    return row["file_name"]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_picture_opens_upright_with_a_shape_that_fits_the_buckets(row):
    data = (FOLDER / row["file_name"]).read_bytes()
    header, picture = read_header(data), decode_rgb(data)
    assert picture.size == (header.width, header.height)
    assert 0.5 <= picture.width / picture.height <= 2
    assert 320 <= max(picture.size) <= 640


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_picture_has_a_caption_a_licence_an_author_and_an_origin(row):
    assert set(row) == {"file_name", "text", "license", "source", "author"}
    assert 6 <= len(row["text"].split()) <= 40
    assert row["license"] in LICENSES
    assert row["author"].strip()
    assert row["source"].startswith("https://")


def test_every_file_is_listed_once_and_credited_in_the_readme():
    listed = [row["file_name"] for row in ROWS]
    assert sorted([*listed, "README.md", "metadata.jsonl"]) == sorted(path.name for path in FOLDER.iterdir())
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    credits = {line.split("`")[1]: line for line in lines if line.startswith("| `") and "[origin]" in line}
    assert credits.keys() == set(listed)
    assert [row["file_name"] for row in ROWS if f"{row['author']}, {row['license']}" not in credits[row["file_name"]]] == []


def test_captions_are_all_different():
    assert len({row["text"] for row in ROWS}) == len(ROWS)


def test_the_folder_stays_small():
    assert 40 <= len(ROWS) <= 48
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MAX_BYTES


def test_the_folder_holds_one_of_each_kind_a_reader_must_cope_with():
    exif, modes = {}, {}
    for row in ROWS:
        with Image.open(FOLDER / row["file_name"]) as picture:
            exif[row["file_name"]] = dict(picture.getexif())
            modes[row["file_name"]] = (picture.format, picture.mode)
    tagged = [tags for tags in exif.values() if tags]
    assert sorted(tags[EXIF_ORIENTATION] for tags in tagged) == [6, 8]
    assert all(len(tags) == 1 for tags in tagged)  # the orientation and nothing else
    assert sorted(kind for kind in modes.values() if kind != ("JPEG", "RGB")) == [("JPEG", "L"), ("PNG", "RGBA")]
