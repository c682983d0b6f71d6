"""Real photographs through `mgpt prepare`: three sources agree, duplicates are found over the whole run, samples are small."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from jobs.recipe import load_recipe
from pipeline.dice import dice
from pipeline.samples import ImageRef, Sample
from pipeline.shards.image_shards import write_image_shard
from pipeline.shards.reader import TokenShards
from pipeline.shards.schema import token_table
from pipeline.sources import SOURCES
from tests.jobs.recipes import ROOT, write_recipe
from tests.tokenizer.tasks.samples import framing
from tokenizer.options import BUNDLED_TEXT_TOKENIZER
from tokenizer.sequence import fill, outline
from tokenizer.tasks import TASKS
from tokenizer.text import TextTokenizer

PHOTOS = ROOT / "examples" / "photos"


def photographs() -> list[Sample]:
    source = SOURCES["folder"](path=str(PHOTOS))
    return [sample for unit in source.plan(1000) for sample in source.read(unit)]


@pytest.fixture(scope="module")
def by_source(tmp_path_factory) -> dict[str, Path]:
    """The same pictures, prepared from a folder, from two tars and from a parquet file; the outputs by source."""
    base = tmp_path_factory.mktemp("sources")
    samples = photographs()
    write_image_shard(str(base / "tars"), 0, samples[:25])
    write_image_shard(str(base / "tars"), 1, samples[25:])
    rows = {
        "image": [{"bytes": sample.images["image"], "path": f"{sample.key}.jpg"} for sample in samples],
        "caption": [sample.caption for sample in samples],
        "name": [sample.key for sample in samples],
    }
    pq.write_table(pa.table(rows), base / "photos.parquet", row_group_size=10)
    sources = {
        "folder": f'kind = "folder"\npath = "{PHOTOS}"',
        "webdataset": f'kind = "webdataset"\npath = "{base}/tars/{{00000..00001}}.tar"',
        "parquet": f'kind = "parquet"\npath = "{base}/photos.parquet"\nkey_column = "name"',
    }
    outputs = {}
    for name, source in sources.items():
        recipe, outputs[name] = write_recipe(base / name, source)
        assert main(["prepare", str(recipe)]) == 0
    return outputs


def test_three_sources_give_the_same_ids(by_source):
    shards = {name: TokenShards(str(output)) for name, output in by_source.items()}
    assert {len(opened) for opened in shards.values()} == {len(photographs())}
    for number in range(len(shards["folder"])):
        first = shards["folder"].read(number)
        for other in (shards["webdataset"].read(number), shards["parquet"].read(number)):
            assert (other.key, other.caption) == (first.key, first.caption)
            assert np.array_equal(other.input_ids, first.input_ids)


def test_duplicates_are_found_over_the_whole_run(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):  # three pictures, twice each, in units of two
        (folder / f"{number}.jpg").write_bytes((PHOTOS / "osprey.jpg").read_bytes() + b"\0" * (number % 3))
        (folder / f"{number}.txt").write_text(f"a bird, for the time number {number}")
    filters = '[run]\nunit_size = 2\n[[filter]]\nkind = "exact_duplicates"\n'
    recipe, output = write_recipe(tmp_path, f'kind = "folder"\npath = "{folder}"', rest=filters)
    assert main(["prepare", str(recipe)]) == 0
    rows = pq.read_table(output / "ledger").to_pylist()
    assert [row["reason"] for row in rows] == ["", "", "", *["duplicate"] * 3]
    assert [TokenShards(str(output)).read(number).key for number in range(3)] == ["0", "1", "2"]
    assert "signature.exact_duplicates" not in rows[0]
    assert main(["inspect", "verify", str(output)]) == 0


def test_a_large_sample_takes_little_more_than_its_tokens():
    """A 768² picture with a caption of 420 characters: at most 5.4 KB in the shard."""
    words = "A gray cat sleeps on the wide windowsill of a sunlit kitchen, beside a cup of coffee and an open book on a table. "
    caption = (words * 4)[:420]
    text = TextTokenizer(BUNDLED_TEXT_TOKENIZER)
    rng = np.random.default_rng(0)
    sizes = {ImageRef("image"): (768, 768)}
    sequences = []
    for number in range(100):
        sample = Sample(f"{number:09d}", caption, {"image": b""})
        conversation = TASKS["text_to_image"]().format(sample, {"image": framing(768, 768)}, dice(0, sample.key, "task"))
        outlined = outline(conversation, sizes, text)
        sequences.append(fill(outlined, [rng.integers(0, 8192, (48, 48))], text, caption, {}))
    sink = pa.BufferOutputStream()
    table = token_table(sequences, text.vocab.dtype)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert sink.getvalue().size / 100 <= 5.4 * 1024


def test_metadata_that_the_recipe_names_travels_with_the_tokens(tmp_path):
    source = f'kind = "folder"\npath = "{PHOTOS}"'
    recipe, output = write_recipe(tmp_path, source, tokens='target_size = 32\nkeep_metadata = ["license"]')
    assert load_recipe(str(recipe), []).tokens.keep_metadata == ("license",)
    assert main(["prepare", str(recipe)]) == 0
    written = {json.loads(line)["file_name"]: json.loads(line)["license"] for line in (PHOTOS / "metadata.jsonl").read_text().splitlines()}
    shards = TokenShards(str(output))
    found = {shards.read(number).key: shards.read(number).metadata for number in range(len(shards))}
    assert found == {name.rsplit(".", 1)[0]: {"license": licence} for name, licence in written.items()}
