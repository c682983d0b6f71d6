"""The benchmarks run; what they measure is in docs/performance.md and no test's business."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import clip, duplicates, encode, loading, ocr, pipeline, planning, sampling, text_tokens, training
from tests.filters.clip_models import write_clip


@pytest.mark.parametrize(
    "module, arguments, heading",
    [
        (encode, ["--size", "64", "--count", "2", "--rounds", "1", "--networks", "bundled"], "| bundled |"),
        (pipeline, ["speed", "--count", "3", "--target-size", "64", "--network", "bundled"], "| encoder alone"),
        (pipeline, ["memory", "--count", "30", "--target-size", "64"], "| 100% |"),
        (duplicates, ["--count", "3000", "--dimensions", "32", "--asked", "100", "--photos", "2"], "| near_duplicates | 3000 |"),
        (ocr, ["--count", "1", "--pages", "1"], "the detector alone: a box on 0 of 1 photographs"),
        (
            loading,
            ["--count", "6", "--size", "32", "--window", "300", "--rounds", "1", "--seconds", "0"],
            "| webdataset, a shuffle buffer |",
        ),
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


def test_the_gpu_benchmark_runs_without_what_a_gpu_machine_may_lack():
    code = """
import sys
for name in ("ray", "webdataset", "open_clip", "torchvision", "torchmetrics", "braceexpand", "scipy", "cv2", "timm"):
    sys.modules[name] = None
sys.argv = ["gpu", "--device", "cpu", "--tiny", "--train", "dropout=0.1"]
from benchmarks import gpu
gpu.main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for row in ("| encode | 32 | 2 | bfloat16 |", "| train | 32 |", "| sample | 32 | 2 | bfloat16 | no | 0 |"):
        assert row in done.stdout
    assert '"options": {"dropout": 0.1}' in done.stdout
