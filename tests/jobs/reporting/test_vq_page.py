"""The page of `mgpt eval-vq`: every figure, pictures without loss, text that is never taken for HTML, nothing fetched."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from jobs.reporting.vq_page import About, eval_page, markdown
from jobs.vq_evaluation import Cell, DataResult, Shown, Speed
from tests.jobs.test_report import EVIL, Page
from tokenizer.vq.measures import Estimate, Figures, Scores

NAN = float("nan")
FIGURES = Figures(
    num_pictures=30,
    psnr=Estimate(24.104, 23.5, 24.7),
    ssim=Estimate(0.69249, 0.65, 0.7),
    gradient=Estimate(0.45, 0.41, 0.4999),
    edges=Estimate(0.85, 0.81, 0.89),
    num_codes=8192,
    codes_emitted=3072,
    codes_reachable=3072,
    codes_used=2048,
    codes_used_share=0.25,
    perplexity=1234.4,
    perplexity_share=0.1507,
    bits_raw=0.05078,
    bits_entropy=0.0401,
)
ABOUT = About(
    {"output": "out"},
    {"cpu": "a processor", "gpu": "", "threads": 2},
    ({"name": EVIL, "kind": "chameleon", "dtype": "float32", "downsample": 16, "num_codes": 8192, "weights": "", "fingerprint": "abc"},),
    {"photographs": {f"{number}.tar": f"{number} bytes" for number in range(9)}},
)


def result(speed=None, target=256, size=(64, 96)):
    rng = np.random.default_rng(0)
    original, decoded = (rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2))
    shown = Shown("photographs", target, "a <b>key", original, ((EVIL, decoded, Scores(24.1, 0.7, 1.0, 2.0, 30.0, 40.0)),))
    cell = Cell("photographs", target, EVIL, 3, FIGURES, speed)
    return DataResult("photographs", 30, {"not_an_image": 2}, (cell,), (), (shown,))


def pixels(picture):
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", picture["src"]).groups()
    assert kind == "png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_the_table_has_every_figure_with_its_interval():
    lines = markdown([result(Speed(12.345, 6.7, 8, 256))]).splitlines()
    values = [value.strip() for value in lines[2].strip("|").split("|")]
    assert values[3:] == [
        "30 (3 enlarged)",
        "24.10 [23.50, 24.70]",
        "0.692 [0.650, 0.700]",
        "0.450 [0.410, 0.500]",
        "0.850 [0.810, 0.890]",
        "2048 of 3072 (25.0%)",
        "1234 (15.1%)",
        "0.0508 (0.0401)",
        "12.35",
        "6.70",
    ]
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[-1] == "photographs: 30 pictures, 2 could not be used (not_an_image 2)"


def test_a_name_cannot_break_the_table():
    cell = Cell("a|b", 256, "c|d", 0, FIGURES, None)
    line = markdown([DataResult("a|b", 30, {}, (cell,), (), ())]).splitlines()[2]
    assert line.startswith("| a\\|b | 256 | c\\|d | 30 |") and line.endswith("| - | - |")


def test_what_is_no_number_is_a_dash():
    lone = Figures(
        **{name: getattr(FIGURES, name) for name in FIGURES.__slots__}
        | {"psnr": Estimate(20, NAN, NAN), "gradient": Estimate(NAN, NAN, NAN)}
    )
    values = markdown([DataResult("d", 1, {}, (Cell("d", 64, "v", 0, lone, None),), (), ())]).splitlines()[2].split("|")
    assert (values[5].strip(), values[7].strip()) == ("20.00", "-")


def test_the_page_has_the_figures_the_pictures_and_what_made_them():
    page = Page(eval_page(ABOUT, [result(Speed(12.345, 6.7, 8, 256))]).decode())
    assert page.titles == ["Figures", "photographs, target 256", "Made with"]
    for words in (
        "24.10[23.50, 24.70]",
        "0.692[0.650, 0.700]",
        "2048 of 307225.0%",
        "12.35",
        "30 pictures2 could not be used (not_an_image 2)",
    ):
        assert words in page.text, words
    for words in (
        "24.10 dB, SSIM 0.700, gradient 0.50",
        "1 of 30 pictures",
        "a processor",
        "fingerprint abc",
        "0.tar: 0 bytes",
        "and 4 more",
    ):
        assert words in page.text, words
    assert "weights" not in page.text  # what is empty is not listed


@pytest.mark.parametrize("target, zoom", [(64, 4), (128, 2), (160, 1), (256, 1), (512, 1)])
def test_pictures_come_without_loss_and_in_whole_multiples_of_their_size(target, zoom):
    shown = result(target=target).shown[0]
    source = eval_page(ABOUT, [result(target=target)]).decode()
    page = Page(source)
    assert [picture["alt"] for picture in page.images] == ["original: a <b>key", f"{EVIL}: a <b>key"]
    for picture, wanted in zip(page.images, (shown.original_HWC, shown.decoded[0][1]), strict=True):
        assert np.array_equal(pixels(picture), wanted)
        assert (int(picture["width"]), int(picture["height"])) == (96 * zoom, 64 * zoom)
    assert "image-rendering: pixelated" in source


def test_text_is_never_taken_for_html_and_nothing_is_fetched():
    source = eval_page(ABOUT, [result()]).decode()
    page = Page(source)
    assert EVIL in page.text and "a <b>key" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "b"}
    assert not re.search(r"https?://|url\(|@import", source)
    for _, attributes in page.tags:
        assert not attributes.keys() & {"href", "srcset", "onload"}


def test_a_run_that_shows_no_picture_has_no_section_of_them():
    bare = DataResult("photographs", 30, {}, result().cells, (), ())
    assert Page(eval_page(ABOUT, [bare]).decode()).titles == ["Figures", "Made with"]
