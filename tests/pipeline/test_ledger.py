"""Every input has one row, and the rows add up."""

import hashlib

import pyarrow as pa
import pytest

from pipeline.ledger import COLUMNS, DISPOSITIONS, Ledger
from pipeline.run_view import signature_column
from pipeline.samples import BadSample, Sample

IMG2DATASET = ["url", "caption", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]


def test_the_columns_begin_with_img2datasets():
    names = Ledger(["clip", "luma"]).table().schema.names
    assert names[:11] == IMG2DATASET
    assert names[11:18] == ["disposition", "reason", "stage", "bucket", "crop_box", "upscale", "tokens"]
    assert names[18:] == ["duplicate_of", "captions", "clip", "luma"]
    assert names == [*COLUMNS, "clip", "luma"]


def test_a_score_that_has_a_column_already_fills_it_where_nothing_else_did():
    ledger = Ledger(["upscale"])
    ledger.add(Sample("a"))
    ledger.reject("a", "image_size", "enlarged_too_much", {"upscale": 2.5})
    ledger.add(Sample("b"))
    ledger["b"].scores["upscale"], ledger["b"].upscale = 2.5, 0.5
    ledger.accept("b", tokens=1)
    table = ledger.table()
    assert table.schema.names == [*COLUMNS]
    assert table["upscale"].to_pylist() == [2.5, 0.5]


def test_accepted_rejected_and_failed_add_up_to_the_input():
    ledger = Ledger(["luma"])
    for key in "abc":
        assert ledger.add(Sample(key, caption=f"caption {key}"))
    assert not ledger.add(BadSample("d", "broken_caption", "byte 0xff"))
    ledger.accept("a", tokens=306)
    ledger.reject("b", "flat_picture", "flat", {"luma": 3.5})
    ledger.fail("c", "decode", "broken_image", "truncated")
    assert ledger.counts() == {"input": 4, "accepted": 1, "rejected": 1, "failed": 2}
    rows = ledger.table().to_pylist()
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["status"] for row in rows] == ["success", "success", "failed_to_decode", "failed_to_read"]
    assert [(row["stage"], row["reason"]) for row in rows] == [
        ("", ""),
        ("flat_picture", "flat"),
        ("decode", "broken_image"),
        ("read", "broken_caption"),
    ]
    assert [row["tokens"] for row in rows] == [306, 0, 0, 0]
    assert [row["luma"] for row in rows] == [None, 3.5, None, None]
    assert {row["disposition"] for row in rows} <= set(DISPOSITIONS)


def test_a_sample_that_a_stage_lost_is_a_bug_that_surfaces():
    ledger = Ledger()
    ledger.add(Sample("a"))
    ledger.add(Sample("b"))
    ledger.accept("a", tokens=1)
    with pytest.raises(ValueError, match="1 samples were lost on the way, 'b' first"):
        ledger.counts()


def test_a_second_sample_with_the_same_key_fails_and_the_first_goes_on():
    ledger = Ledger()
    assert ledger.add(Sample("a", caption="first"))
    assert not ledger.add(Sample("a", caption="second"))
    ledger.accept("a", tokens=5)
    rows = ledger.table().to_pylist()
    assert [(row["caption"], row["disposition"], row["reason"]) for row in rows] == [
        ("first", "accepted", ""),
        ("second", "failed", "duplicate_key"),
    ]


def test_a_bad_sample_does_not_take_the_key_from_a_good_one():
    ledger = Ledger()
    ledger.add(BadSample("a", "broken"))
    assert ledger.add(Sample("a"))


def test_the_hash_is_that_of_the_main_picture():
    ledger = Ledger()
    ledger.add(Sample("a", images={"depth": b"depth", "image": b"main"}))
    ledger.add(Sample("b", images={"depth": b"depth", "normal": b"normal"}))
    ledger.add(Sample("c"))
    hashes = [row["sha256"] for row in ledger.table().to_pylist()]
    assert hashes == [hashlib.sha256(b"main").hexdigest(), hashlib.sha256(b"depth").hexdigest(), ""]


def test_url_and_exif_come_from_the_metadata():
    ledger = Ledger()
    ledger.add(Sample("a", metadata={"url": "http://x", "exif": {"Make": "é"}}))
    ledger.add(Sample("b", metadata={"exif": '{"already": "text"}'}))
    ledger.add(Sample("c", metadata={"url": None, "exif": None}))  # as image shards have it
    rows = ledger.table().to_pylist()
    assert [(row["url"], row["exif"]) for row in rows] == [("http://x", '{"Make": "é"}'), ("", '{"already": "text"}'), ("", "")]


def test_signatures_have_columns_of_their_own():
    ledger = Ledger([], ["exact"])
    ledger.add(Sample("a"))
    ledger["a"].signatures["exact"] = b"\x01"
    ledger.add(Sample("b"))
    table = ledger.table()
    assert table.schema.field(signature_column("exact")).type == pa.binary()
    assert table[signature_column("exact")].to_pylist() == [b"\x01", None]


def test_an_empty_ledger_has_all_columns_and_no_rows():
    ledger = Ledger(["luma"])
    assert ledger.counts() == {"input": 0, "accepted": 0, "rejected": 0, "failed": 0}
    table = ledger.table()
    assert table.num_rows == 0
    assert table.schema.field("luma").type == pa.float64()
