"""LAION as img2dataset stores it: the columns of its tables stay usable, and any of them can be the caption."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters import FILTERS
from pipeline.errors import RecipeError
from pipeline.samples import BadSample, Sample
from pipeline.sources.parquet import Parquet
from pipeline.sources.webdataset_tars import WebDataset
from tests.broken_pictures import picture

COCO = {  # a .json of img2dataset for laion-coco, with --save_additional_columns as its dataset_examples/laion-coco.md has it
    "similarity": 0.3189,
    "hash": -2193048710482719364,
    "punsafe": 0.0001,
    "pwatermark": 0.0532,
    "top_caption": "a cat sleeping on a sofa",
    "all_captions": ["a cat on a sofa", "a cat sleeping on a sofa"],
    "all_similarities": [0.28, 0.33],
    "caption": "Best cat beds 2021",
    "url": "https://example.org/cat.jpg",
    "key": "000000007",
    "status": "success",
    "error_message": None,
    "width": 256,
    "height": 192,
    "original_width": 1024,
    "original_height": 768,
    "exif": "{}",
    "sha256": "c0" * 32,
}


def write_tar(path, *metadatas):
    with tarfile.open(path, "w") as tar:
        for number, metadata in enumerate(metadatas):
            members = {"jpg": picture(), "txt": metadata["caption"].encode(), "json": json.dumps(metadata, indent=4).encode()}
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{number:09d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def read(source):
    return [item for unit in source.plan(100) for item in source.read(unit)]


def read_tar(tmp_path, *metadatas, **options):
    write_tar(tmp_path / "00000.tar", *metadatas)
    return read(WebDataset(str(tmp_path / "00000.tar"), **options))


def test_the_columns_that_img2dataset_kept_are_metadata(tmp_path):
    [sample] = read_tar(tmp_path, COCO)
    assert sample == Sample(
        "000000000", "Best cat beds 2021", {"image": picture()}, metadata={k: v for k, v in COCO.items() if k != "caption"}
    )


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"column": "punsafe", "max": 0.1}, ["0", "2"]),
        ({"column": "pwatermark", "max": 0.5}, ["0", "1"]),
        ({"column": "similarity", "min": 0.3, "missing": "drop"}, ["0", "1"]),
    ],
)
def test_its_scores_are_judged_as_they_came(tmp_path, options, kept):
    bad = {**COCO, "punsafe": 0.97, "pwatermark": None}
    marked = {**COCO, "pwatermark": 0.81, "similarity": None}
    samples = read_tar(tmp_path, COCO, bad, marked)
    judge = FILTERS["metadata_range"](**options)
    reasons = [judge.judge(measured.scores) for measured in judge.measure(samples)]
    assert [sample.key[-1] for sample, reason in zip(samples, reasons, strict=True) if not reason] == kept


@pytest.mark.parametrize(
    ("field", "caption"), [("top_caption", "a cat sleeping on a sofa"), ("all_captions", "a cat on a sofa"), ("", "Best cat beds 2021")]
)
def test_the_caption_is_that_of_the_field_and_the_alt_text_is_kept(tmp_path, field, caption):
    [sample] = read_tar(tmp_path, COCO, caption_field=field)
    assert sample.caption == caption
    assert sample.metadata.get("caption") == ("Best cat beds 2021" if field else None)


@pytest.mark.parametrize(
    ("changed", "field", "outcome"),
    [
        ({"top_caption": None}, "top_caption", ""),
        ({"all_captions": []}, "all_captions", ""),
        ({"top_caption": 7}, "top_caption", "bad_field"),
        ({"all_captions": [7]}, "all_captions", "bad_field"),
        ({"top_caption": "\ud83d"}, "top_caption", "caption_not_utf8"),
        ({}, "blip_caption", "missing_caption"),
    ],
)
def test_a_field_without_a_caption_is_an_empty_one_and_a_wrong_one_fails(tmp_path, changed, field, outcome):
    [item] = read_tar(tmp_path, {**COCO, **changed}, caption_field=field)
    if outcome:
        assert isinstance(item, BadSample) and item.reason == outcome
        assert outcome == "caption_not_utf8" or field in item.message
    else:
        assert item.caption == ""


def test_its_own_tables_hold_no_pictures_and_say_so(tmp_path):
    columns = {
        "URL": ["http://x"],
        "TEXT": ["a"],
        "top_caption": ["b"],
        "all_captions": [["b"]],
        "WIDTH": [3],
        "HEIGHT": [4],
        "pwatermark": [0.1],
    }
    pq.write_table(pa.table(columns), tmp_path / "part-00000.parquet")
    with pytest.raises(RecipeError, match=r"part-00000\.parquet: a table of URLs without pictures; downloading them is a step of its own"):
        Parquet(str(tmp_path / "part-00000.parquet")).plan(10)
