"""The report: one page that stands by itself, shows what is there, and takes no text for HTML."""

import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.report import write_report
from jobs.reporting.pictures import pick_keys, scores_of
from jobs.reporting.run_data import RunData, read_run
from pipeline.errors import VerificationError
from pipeline.shards.reader import TokenShards
from tests.jobs.inspection.outputs import prepare_small, small_sequences
from tests.token_output import write_output

VOID = {"meta", "img", "br"}
EVIL = "<script>alert('no picture')</script>"


class Page(HTMLParser):
    """A parsed page; refuses tags that are not closed in order."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.titles: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        if "style" not in self.open:
            self.text += data

    @property
    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return prepare_small(tmp_path_factory.mktemp("report"))


@pytest.fixture
def output(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "run <b>"))


def originals(prepared: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (prepared.parent / "pictures").iterdir() if path.suffix != ".txt"}


def add_model(output: Path) -> None:
    """A training log and two samples, as `train` and `sample` leave them."""
    (output / "train").mkdir()
    lines = [{"step": step, "loss": 9.0 - step / 100} for step in range(0, 500, 10)]
    lines += [{"step": 490, "held_out_loss": 5.5}]
    (output / "train" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 500, "lo')
    (output / "samples").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(2):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(output / "samples" / f"{number:04d}.png")
        rows.append({"file": f"{number:04d}.png", "prompt": f"a prompt & <i>{number}</i>", "seed": 7, "size": "96x64", "guidance": 4.0})
    rows.append({"file": "gone.png", "prompt": "its file was removed", "seed": 7, "size": "96x64"})
    (output / "samples" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def report(output: Path, pictures: dict[str, bytes]) -> tuple[str, Page]:
    path = write_report(str(output), pictures)
    assert path == f"{output}/report.html"
    source = Path(path).read_text(encoding="utf-8")
    return source, Page(source)


def test_a_whole_run_has_every_section(prepared, output):
    add_model(output)
    _, page = report(output, originals(prepared))
    assert page.titles == [
        "What became of the samples",
        "Pictures and their tokens",
        "Drawn by the model",
        "Loss",
        "Tasks",
        "Picture sizes",
        "Lengths",
        "Scores",
        "Samples left out",
        "Fingerprints",
    ]


def test_what_is_not_there_has_no_section(tmp_path, output):
    _, page = report(output, {})
    assert "Loss" not in page.titles and "Drawn by the model" not in page.titles
    (tmp_path / "empty").mkdir()
    _, page = report(tmp_path / "empty", {})
    assert page.titles == []


def test_an_output_without_sequences_has_a_report(tmp_path):
    write_output(tmp_path, [])
    _, page = report(tmp_path, {})
    assert page.titles == ["Fingerprints"]


def test_text_is_never_taken_for_html(prepared, output):
    add_model(output)
    source, page = report(output, originals(prepared))
    assert EVIL in page.text
    assert "noise <b>number" in page.text
    assert "a prompt & <i>1</i>" in page.text
    assert "run <b>" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    assert "<script" not in source


def test_nothing_is_fetched(prepared, output):
    add_model(output)
    source, page = report(output, originals(prepared))
    for _, attributes in page.tags:
        assert not attributes.keys() & {"href", "srcset", "action", "onload", "onclick"}
        assert attributes.get("src", "data:image/").startswith("data:image/")
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"https?://", source)


def test_it_fits_a_phone_and_the_dark(output):
    source, page = report(output, {})
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "prefers-color-scheme: dark" in source
    assert all(image["width"] and image["height"] and image["alt"] is not None for image in page.images)


def test_the_numbers_are_those_of_the_data(prepared, output):
    add_model(output)
    _, page = report(output, originals(prepared))
    manifest = TokenShards(str(output)).manifest
    for words in (f"{manifest.num_tokens:,}", "60.0%; 2 rejected, 2 failed", "490 steps", "loss 9 to 4.1", "5.5 at step 490"):
        assert words in page.text
    assert "caption_has_file_name 2, for example picture_" in page.text
    assert "empty_file 1, for example empty" in page.text
    assert "not_an_image 1, for example page" in page.text
    assert "64x64" in page.text


def test_originals_stand_beside_decoded_tokens(prepared, output):
    _, page = report(output, originals(prepared))
    alts = [image["alt"] for image in page.images]
    for number in range(6):
        assert f"original: noise <b>number {number}</b> & more of it" in alts
        assert f"decoded from tokens: noise <b>number {number}</b> & more of it" in alts


def test_samples_left_out_are_shown_with_their_reason(prepared, output):
    _, page = report(output, originals(prepared))
    assert {"IMG_0001.jpg"} <= {image["alt"] for image in page.images}
    left_out = page.text[page.text.index("Samples left out") :]
    assert "4 of 4, drawn by seed" in left_out
    for words in ("caption_text: caption_has_file_name", "open: empty_file", "picture_6", "IMG_0001.jpg", "an HTML page"):
        assert words in left_out


def test_a_sampled_picture_that_is_gone_is_said_to_be_gone(output):
    add_model(output)
    _, page = report(output, {})
    assert "gone.png is not there" in page.text


def test_a_quantizer_that_is_gone_costs_only_its_pictures(output):
    path = output / "tokens" / "manifest.json"
    path.write_text(path.read_text().replace("vqgan.ckpt", "gone.ckpt"))
    _, page = report(output, {})
    assert "The pictures cannot be decoded" in page.text
    assert "Picture sizes" in page.titles


def test_the_same_run_gives_the_same_bytes(prepared, output):
    first, _ = report(output, originals(prepared))
    second, _ = report(output, originals(prepared))
    assert first == second


def test_a_damaged_log_is_refused_by_name(output):
    (output / "train").mkdir()
    (output / "train" / "log.jsonl").write_text("no json\n")
    with pytest.raises(VerificationError, match=r"log\.jsonl: damaged"):
        write_report(str(output), {})


def test_keys_are_drawn_by_seed_from_those_that_can_be_read_and_have_a_picture(tmp_path):
    write_output(tmp_path, small_sequences())
    shards = TokenShards(str(tmp_path))
    available = ["fox", "owl", "cat/tabby", "primes", "unknown"]
    picked = pick_keys(shards, available, seed=1)
    assert sorted(picked) == ["cat/tabby", "fox", "owl"]
    assert picked == pick_keys(shards, reversed(available), seed=1)
    assert {tuple(pick_keys(shards, available, seed=seed)) for seed in range(20)} > {tuple(picked)}
    assert len(pick_keys(shards, available, seed=1, count=2)) == 2
    assert sorted(pick_keys(shards, [], seed=1)) == ["cat/tabby", "fox", "owl"]


def test_sizes_take_turns_so_that_many_samples_of_one_do_not_crowd_out_the_others(tmp_path):
    [fox, _, _, owl, cat] = small_sequences()
    many = [replace(fox, key=f"fox {number}") for number in range(50)]
    write_output(tmp_path, [*many, owl, cat])
    for seed in range(5):
        picked = pick_keys(TokenShards(str(tmp_path)), [sequence.key for sequence in [*many, owl, cat]], seed=seed, count=3)
        assert "owl" in picked and len(picked) == 3


def test_a_broken_original_leaves_a_blank(prepared, output):
    pictures = originals(prepared) | {"picture_0": b"\xff\xd8\xff and no more"}
    _, page = report(output, pictures)
    assert "broken_header" in page.text or "not_an_image" in page.text


def test_pictures_in_the_page_are_small(prepared, output):
    file = io.BytesIO()
    Image.fromarray(np.zeros((2000, 3000, 3), np.uint8)).save(file, "PNG")
    _, page = report(output, originals(prepared) | {"picture_7": file.getvalue()})
    assert max(int(image["width"]) for image in page.images) <= 384


def test_a_sample_that_was_left_out_is_shown_with_the_scores_that_decided():
    filters = [{"kind": "aspect_ratio"}, {"kind": "metadata_range", "name": "watermarks"}, {"kind": "exact_duplicates"}]
    data = RunData("out", recipe={"filter": filters})
    row = {"aspect_ratio": 3.5, "caption_chars": 12.0, "watermarks_metadata_number": 0.75, "watermarks_metadata_number_known": 1.0}
    shown = {stage: scores_of(data, row | {"stage": stage}) for stage in ("aspect_ratio", "watermarks", "tokenize")}
    assert shown["aspect_ratio"] == ["aspect_ratio 3.5"] and shown["tokenize"] == []
    assert shown["watermarks"] == ["watermarks_metadata_number_known 1", "watermarks_metadata_number 0.75"]
    assert scores_of(data, row | {"stage": "exact_duplicates", "duplicate_of": "000012"}) == ["copy of 000012"]


def test_samples_left_out_whose_pictures_can_be_shown_come_first(output):
    reason, rows = next((reason, kept) for reason, kept in read_run(str(output)).left_out.items() if len(kept) > 1)
    for row in rows:
        assert read_run(str(output), {row["key"]}).left_out[reason][0]["key"] == row["key"]


def test_held_out_losses_have_a_chart_a_task_and_the_newest_grid_is_shown(tmp_path):
    write_output(tmp_path, small_sequences()[:2])
    (tmp_path / "train" / "grids").mkdir(parents=True)
    by_task = {1: {"depth": 1.5, EVIL: 3.0, "vqa": 1.0}, 2: {"depth": 0.5, EVIL: 3.0}}
    lines = [{"step": step, "held_out_loss": 5.0 - step, "held_out_loss_by_task": losses} for step, losses in by_task.items()]
    (tmp_path / "train" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step, red in (("000900", 10), ("1000000", 200)):
        said = PngInfo()
        said.add_itxt("step", step)
        said.add_itxt("captions from", "held out")
        said.add_itxt("caption 1", EVIL)
        Image.new("RGB", (20, 10), (red, 0, 0)).save(tmp_path / "train" / "grids" / f"step-{step}.png", pnginfo=said)
    page = Page(Path(write_report(str(tmp_path), {})).read_text())
    assert {"Held-out loss by task", "Drawn while training"} <= set(page.titles)
    assert "depth 0.5 at step 2" in page.text and "vqa" not in page.text
    assert "Step 1000000: original and drawn, for 1 captions of samples held out" in page.text and EVIL in page.text
    [grid] = [attributes for attributes in page.images if attributes["alt"] == "grid"]
    assert (grid["width"], grid["height"]) == ("20", "10")
    (tmp_path / "train" / "grids" / "step-1000000.png").write_bytes(b"no picture")
    with pytest.raises(VerificationError, match=r"step-1000000\.png: damaged"):
        write_report(str(tmp_path), {})
