"""`mgpt annotate`: what was said of samples lies in image shards, for `prepare` to read."""

import hashlib

import pyarrow.parquet as pq

from jobs.__main__ import main
from pipeline import annotate_job
from pipeline.shards.reader import TokenShards
from pipeline.sources.shapes import Shapes
from pipeline.sources.webdataset_tars import WebDataset
from tests.broken_pictures import picture
from tests.jobs.recipes import write_recipe

SCENES = 'kind = "shapes"\ncount = 30\nsizes = ["64x64", "96x64"]\nroles = ["image", "depth", "segmentation"]'
RULES = '[run]\nunit_size = 8\n[[filter]]\nkind = "aspect_ratio"\nmax_aspect = 1.2\n'


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "units" not in path.parts and path.name != "recipe.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_image_shards_hold_the_samples_that_were_kept_with_all_that_is_known_of_them(tmp_path, capsys):
    recipe, output = write_recipe(tmp_path, SCENES, rest=RULES)
    assert main(["annotate", str(recipe)]) == 0
    source = WebDataset(str(output / "images"))
    read = [item for unit in source.plan(1000) for item in source.read(unit)]
    drawn = Shapes(count=30, sizes=("64x64", "96x64"), roles=("image", "depth", "segmentation"))
    kept = [drawn.draw(sample.key) for sample in read]
    assert 5 < len(read) < 25
    assert [(s.images, s.caption, s.detections) for s in read] == [(s.images, s.caption, s.detections) for s in kept]
    rows = [row for path in sorted((output / "images" / "ledger").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 30
    assert {row["disposition"] for row in rows} == {"accepted", "rejected"}
    assert f"30 samples: {len(read)} accepted, {30 - len(read)} rejected, 0 failed" in capsys.readouterr().out


def test_tokens_of_what_was_annotated_are_those_of_the_source_itself(tmp_path):
    direct, output = write_recipe(tmp_path / "direct", SCENES, rest="[run]\nunit_size = 8\n")
    assert main(["annotate", str(direct)]) == 0 and main(["prepare", str(direct)]) == 0
    second, again = write_recipe(tmp_path / "second", f'kind = "webdataset"\npath = "{output}/images"')
    assert main(["prepare", str(second)]) == 0
    one, other = TokenShards(str(output)), TokenShards(str(again))
    assert len(one) == len(other) == 30
    assert all((one.read(n).input_ids == other.read(n).input_ids).all() for n in range(30))


def test_any_executor_writes_the_same_bytes(tmp_path, ray_cluster):
    found = []
    for name, run in (("one", "inprocess"), ("two", "ray")):
        recipe, output = write_recipe(tmp_path / name, SCENES, rest=RULES.replace("[run]", f'[run]\nexecutor = "{run}"'))
        assert main(["annotate", str(recipe)]) == 0
        found.append(digests(output / "images"))
    assert found[0] == found[1] and len(found[0]) == 16


def test_a_run_that_was_cut_short_goes_on_and_does_nothing_twice(tmp_path, monkeypatch):
    quiet, output = write_recipe(tmp_path / "quiet", SCENES, rest=RULES)
    assert main(["annotate", str(quiet)]) == 0
    recipe, cut = write_recipe(tmp_path / "cut", SCENES, rest=RULES)
    written = []

    def write(folder, index, samples):
        if index == 2:
            raise KeyboardInterrupt
        written.append(index)
        return original(folder, index, samples)

    original = annotate_job.write_image_shard
    monkeypatch.setattr(annotate_job, "write_image_shard", write)
    assert main(["annotate", str(recipe)]) == 130
    monkeypatch.setattr(annotate_job, "write_image_shard", lambda folder, index, s: written.append(index) or original(folder, index, s))
    assert main(["annotate", str(recipe)]) == 0
    assert written == [0, 1, 2, 3]
    assert digests(cut / "images") == digests(output / "images")
    (cut / "images" / "00001.tar").write_bytes(b"damaged")
    assert main(["annotate", str(recipe)]) == 0
    assert written[4:] == [1] and digests(cut / "images") == digests(output / "images")


def test_another_recipe_is_refused_on_the_same_folder(tmp_path, capsys):
    recipe, _ = write_recipe(tmp_path, SCENES, rest=RULES)
    assert main(["annotate", str(recipe)]) == 0
    assert main(["annotate", str(recipe), "--set", "filter.0.max_aspect=1.4"]) == 5
    assert "max_aspect" in capsys.readouterr().err
    assert main(["annotate", str(recipe), "--set", "tokens.target_size=128"]) == 0  # leaves no trace in image shards


def test_a_key_that_the_layout_cannot_hold_fails_alone(tmp_path, capsys):
    (tmp_path / "__odd").mkdir()
    for name in ("__odd/a.png", "__b.png", "c.png", "d__.png"):
        (tmp_path / name).write_bytes(picture("PNG"))
    recipe, output = write_recipe(tmp_path / "run", f'kind = "folder"\npath = "{tmp_path}"', rest="[run]\nmax_failed_fraction = 0.5\n")
    assert main(["annotate", str(recipe)]) == 0
    assert "4 samples: 2 accepted, 0 rejected, 2 failed" in capsys.readouterr().out
    rows = [row for path in (output / "images" / "ledger").iterdir() for row in pq.read_table(path).to_pylist()]
    assert [(row["key"], row["status"], row["stage"], row["reason"]) for row in rows if row["disposition"] == "failed"] == [
        ("__b", "failed_to_write", "write", "bad_key"),
        ("__odd/a", "failed_to_write", "write", "bad_key"),
    ]
    source = WebDataset(str(output / "images"))
    assert [item.key for unit in source.plan(10) for item in source.read(unit)] == ["c", "d__"]


def test_filters_that_compare_are_left_to_prepare(tmp_path, capsys):
    recipe, _ = write_recipe(tmp_path, SCENES, rest='[[filter]]\nkind = "exact_duplicates"\n')
    assert main(["annotate", str(recipe), "--dry-run"]) == 2
    assert "exact_duplicates: compares samples" in capsys.readouterr().err


def test_weights_that_cannot_be_had_are_refused_before_any_work(tmp_path, capsys):
    recipe, output = write_recipe(tmp_path, SCENES, rest=f'[[annotator]]\nkind = "depth"\nmodel = "{tmp_path}/nowhere"\n')
    assert main(["annotate", str(recipe), "--dry-run"]) == 2
    assert "annotator depth" in capsys.readouterr().err and not output.exists()
