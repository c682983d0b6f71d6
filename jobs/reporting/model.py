"""The report's sections on the bundled model: its loss curve and what it draws."""

import io
from typing import Any

from PIL import Image, UnidentifiedImageError

from jobs.reporting.charts import Line, line_chart, running_mean
from jobs.reporting.page import image, section, text
from jobs.reporting.run_data import RunData
from pipeline import paths
from pipeline.errors import RecipeError, VerificationError

SMOOTHED = 20  # the mean runs over a twentieth of the lines
MAX_SAMPLES = 48  # pictures
SIDE = 384  # pixels of a thumbnail's longer side
GRIDS = ("train", "grids")  # folder
SHOWN = ("seed", "size", "guidance")  # fields of a sample's line, below its prompt


def loss_curve(data: RunData) -> str:
    """Loss by step, with its running mean; held-out losses where the trainer wrote them."""
    points = _points(data.train_log, "loss")
    held_out = _points(data.train_log, "held_out_loss")
    if len(points) < 2:
        return ""
    means = running_mean(points, max(1, len(points) // SMOOTHED))
    lines = [Line("raw", points), Line("mean", means), *([Line("other", held_out)] if len(held_out) > 1 else [])]
    note = f"Mean loss a token at each of {len(points):,} logged steps, and its running mean over {max(1, len(points) // SMOOTHED)}: "
    note += f"{points[0][1]:.4g} at step {points[0][0]:,g}, {means[-1][1]:.4g} at step {means[-1][0]:,g}."
    if held_out:
        note += f' <i class="swatch rejected"></i> on samples held out: {held_out[-1][1]:.4g} at step {held_out[-1][0]:,g}.'
    return section("Loss", line_chart(lines), note)


def held_out_by_task(data: RunData) -> str:
    """Held-out loss by step, a chart a task."""
    losses: dict[str, list[tuple[float, float]]] = {}
    for line in data.train_log:
        for task, loss in line.get("held_out_loss_by_task", {}).items():
            losses.setdefault(task, []).append((float(line["step"]), float(loss)))
    charts = ""
    for task, points in sorted(losses.items()):
        if len(points) > 1:
            last = f"{points[-1][1]:.4g} at step {points[-1][0]:,g}"
            charts += f'<div><p class="note"><b>{text(task)}</b> {last}</p>{line_chart([Line("other", points)])}</div>'
    note = "Mean loss a token on samples that are not trained on."
    return section("Held-out loss by task", charts and f'<div class="score-charts">{charts}</div>', note)


def newest_grid(data: RunData) -> str:
    """What the model drew while it was trained, beside the originals."""
    folder = paths.join(data.output, *GRIDS)
    names = [name for name in paths.list_files(folder) if name.endswith(".png")] if data.train_log else []
    if not names:
        return ""
    name = max(names, key=lambda name: (len(name), name))
    file = paths.read_bytes(paths.join(folder, name))
    try:
        with Image.open(io.BytesIO(file)) as picture:
            picture.load()
            said, size = dict(getattr(picture, "text", {})), picture.size
    except (OSError, UnidentifiedImageError) as error:
        raise VerificationError(f"{paths.join(folder, name)}: damaged ({error})") from error
    captions = [value for key, value in said.items() if key.startswith("caption ")]
    whose = "held out" if said.get("captions from") == "held out" else "that are trained on"
    note = f"Step {text(said.get('step', '?'))}: original and drawn, for {len(captions)} captions of samples {whose}, from left to right: "
    note += " · ".join(f'<bdi dir="auto">{text(caption)}</bdi>' for caption in captions)
    return section("Drawn while training", f"<figure>{image(file, 'png', 'grid', size)}</figure>", note)


def sampled(data: RunData) -> str:
    """What the model drew, with the prompts."""
    figures = "".join(_figure(data.output, line) for line in data.samples[:MAX_SAMPLES])
    note = f"The first {MAX_SAMPLES} of {len(data.samples):,}." if len(data.samples) > MAX_SAMPLES else ""
    return section("Drawn by the model", figures and f'<div class="pictures single">{figures}</div>', note)


def _points(log: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(float(line["step"]), float(line[name])) for line in log if "step" in line and isinstance(line.get(name), int | float)]


def _figure(output: str, line: dict[str, Any]) -> str:
    file = str(line.get("file", ""))
    if not file and line.get("text"):  # an answer in words
        words = f'<bdi dir="auto">{text(line.get("prompt", ""))}</bdi><span>{text(line["text"])}</span>'
        return f"<figure><figcaption>{words}</figcaption></figure>"
    try:
        shown = thumbnail(paths.read_bytes(paths.join(output, "samples", file)), str(line.get("prompt", "")))
    except (RecipeError, UnidentifiedImageError):  # it was removed or damaged since
        shown = f'<div class="blank">{text(file)} is not there</div>'
    facts = ", ".join(f"{name} {line[name]}" for name in SHOWN if line.get(name) is not None)
    return f'<figure>{shown}<figcaption><bdi dir="auto">{text(line.get("prompt", ""))}</bdi>{text(facts)}</figcaption></figure>'


def thumbnail(data: bytes, alt: str) -> str:
    """Pictures of a small model are small: they are kept as they are."""
    with Image.open(io.BytesIO(data)) as picture:
        picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return image(file.getvalue(), "jpeg", alt, picture.size)
