"""The benchmarks run; what they measure is in docs/performance.md and no test's business."""

import sys

import pytest

from benchmarks import clip, duplicates, encode, ocr, pipeline, planning, sampling, text_tokens, training
from tests.filters.clip_models import write_clip


@pytest.mark.parametrize(
    "module, arguments, heading",
    [
        (encode, ["--size", "64", "--count", "2", "--rounds", "1", "--networks", "bundled"], "| bundled |"),
        (pipeline, ["speed", "--count", "3", "--target-size", "64", "--network", "bundled"], "| encoder alone"),
        (pipeline, ["memory", "--count", "30", "--target-size", "64"], "| 100% |"),
        (duplicates, ["--count", "3000", "--dimensions", "32", "--asked", "100", "--photos", "2"], "| near_duplicates | 3000 |"),
        (ocr, ["--count", "1", "--pages", "1"], "the detector alone: a box on 0 of 1 photographs"),
        (planning, ["--count", "5000", "--windows", "8192"], "| window 8192: packed | 5,000 |"),
        (
            sampling,
            ["--hidden", "32", "--layers", "1", "--heads", "2", "--size", "32", "--batches", "1", "2", "--rounds", "1"],
            "| ours, window 4 | 1 |",
        ),
        (
            training,
            [
                "--hidden",
                "32",
                "--layers",
                "1",
                "--heads",
                "2",
                "--target-size",
                "64",
                "--window",
                "2500",
                "--count",
                "600",
                "--steps",
                "1",
                "--vocabulary",
                "0",
            ],
            "| padded |",
        ),
        (text_tokens, [], "| declaration in Chinese"),
    ],
)
def test_a_benchmark_prints_its_table(monkeypatch, capsys, module, arguments, heading):
    monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
    module.main()
    assert heading in capsys.readouterr().out


def test_the_clip_benchmark_prints_its_table(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["clip", "--model", write_clip(tmp_path), "--size", "64", "--count", "2", "--rounds", "1"])
    clip.main()
    assert "| stage |" in capsys.readouterr().out
