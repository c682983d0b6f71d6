"""The page and the table of `mgpt eval-vq`: all figures with their intervals, then pictures beside what each quantizer made of them."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jobs.reporting.page import image, page, section, text
from jobs.vq_evaluation import Cell, DataResult, Shown
from tokenizer.vq.measures import Estimate, Scores

SMALL = 256  # pixels a side up to which pictures are shown enlarged, by a whole number
MAX_LISTED = 5  # files of a source that the page names
COLUMNS = (
    "data",
    "target",
    "vq",
    "pictures",
    "PSNR, dB",
    "SSIM",
    "gradient",
    "edges",
    "codes used (of the codebook)",
    "perplexity (of the codebook)",
    "bits a pixel (by entropy)",
    "encode/s",
    "decode/s",
)
STYLE = """<style>
main { max-width: 140rem; } header, .text { max-width: 68rem; }
.wide { overflow-x: auto; margin-bottom: .8rem; }
.figures { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
.figures th, .figures td { text-align: left; padding: .3rem .8rem .3rem 0; white-space: nowrap; vertical-align: top; }
.figures th { color: var(--soft); font-weight: normal; border-bottom: 1px solid var(--line); }
.figures tbody tr.first td { border-top: 1px solid var(--line); }
.figures small { display: block; color: var(--soft); }
.rows { display: flex; flex-wrap: wrap; gap: 1.4rem 2.5rem; }
.row { display: flex; gap: .5rem; overflow-x: auto; max-width: 100%; }
.row figure { flex: none; }
.row img { border-radius: 0; image-rendering: pixelated; }
.row span { overflow-wrap: anywhere; }
@media (max-width: 40rem) { .row { flex-wrap: wrap; } .row figure { max-width: 100%; } }
</style>"""
NOTES = (
    "In brackets: 95 % intervals, from a bootstrap over the pictures. PSNR and SSIM: means over pictures. Gradient: the decoded pictures' "
    "mean gradient magnitude over the originals'; under 1 detail is lost, over 1 there is more of it than there was. Edges: the same where "
    "the originals have edges, so that noise elsewhere cannot make up for them. Codes used: how many different ones, of as many as these "
    "pictures could have used. Perplexity: as many equally frequent codes would have the same entropy; few pictures make it too low. Bits "
    "a pixel: every code with the same number of bits, and by the entropy of the codes. Enlarged: smaller than the bucket, so that they "
    "come back more easily. Encode and decode: square pictures a second, in full batches."
)


@dataclass(frozen=True)
class About:
    """What the figures depend on besides the pictures. These names are those in `eval.json`."""

    recipe: Mapping[str, Any]  # tables as written
    machine: Mapping[str, str | int]
    vq: tuple[Mapping[str, Any], ...]  # name, kind, all options, downsample, num_codes, fingerprint
    sources: Mapping[str, Mapping[str, str]]  # fingerprints by the data's name


def markdown(results: Sequence[DataResult]) -> str:
    """The figures as a table, and below it how many records could not be used."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_values(cell) for result in results for cell in result.cells)]
    lines = ["| " + " | ".join(value.replace("|", "\\|") for value in row) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"{result.name}: {_counted(result)}" for result in results)])


def eval_page(about: About, results: Sequence[DataResult]) -> bytes:
    """The whole file."""
    names = ", ".join(str(vq["name"]) for vq in about.vq)
    title = f"How pictures come back: {names}"
    head = f"{STYLE}<header><h1>{text(title)}</h1></header>{_tiles(about, results)}"
    return page(title, [head, _figures(results), *_pictures(results), _about(about)])


def _tiles(about: About, results: Sequence[DataResult]) -> str:
    tiles = [(result.name, f"{result.num_pictures:,} pictures", _bad(result)) for result in results]
    tiles += [
        (str(vq["name"]), f"{vq['num_codes']:,} codes", f"of {vq['downsample']} x {vq['downsample']} pixels, {vq.get('dtype', '')}")
        for vq in about.vq
    ]
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(more)}</small></dd></div>" for name, value, more in tiles)
    return f'<dl class="tiles text">{cells}</dl>'


def _figures(results: Sequence[DataResult]) -> str:
    head = "".join(f"<th>{_two_lines(name)}</th>" for name in COLUMNS)
    rows, before = [], None
    for cell in (cell for result in results for cell in result.cells):
        first = ' class="first"' if (cell.data, cell.target_size) != before else ""
        before = (cell.data, cell.target_size)
        rows.append(f"<tr{first}>" + "".join(f"<td>{_two_lines(value)}</td>" for value in _values(cell)) + "</tr>")
    table = f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return section("Figures", f'<div class="wide">{table}</div><p class="soft text">{text(NOTES)}</p>')


def _pictures(results: Sequence[DataResult]) -> list[str]:
    sections = []
    for result in results:
        for target in dict.fromkeys(picture.target_size for picture in result.shown):
            chosen = [picture for picture in result.shown if picture.target_size == target]
            zoom = max(1, SMALL // target)
            times = f"each pixel as {zoom} x {zoom}" if zoom > 1 else "at their own size"
            note = f"{len(chosen)} of {result.num_pictures:,} pictures, drawn by seed; lossless, {times}."
            rows = "".join(_row(picture, zoom) for picture in chosen)
            sections.append(section(f"{result.name}, target {target}", f'<div class="rows">{rows}</div>', text(note)))
    return sections


def _row(picture: Shown, zoom: int) -> str:
    height, width = picture.original_HWC.shape[:2]
    facts = f'<span><code class="key">{text(picture.key)}</code>, {width} x {height}</span>'
    figures = [_figure(picture.original_HWC, f"original: {picture.key}", f"<bdi>original</bdi>{facts}", zoom)]
    for name, decoded_HWC, scores in picture.decoded:
        caption = f"<bdi>{text(name)}</bdi><span>{text(_scored(scores))}</span>"
        figures.append(_figure(decoded_HWC, f"{name}: {picture.key}", caption, zoom))
    return f'<div class="row">{"".join(figures)}</div>'


def _figure(pixels_HWC: np.ndarray, alt: str, caption: str, zoom: int) -> str:
    """Lossless: what is seen is the quantizer's, not JPEG's."""
    height, width = pixels_HWC.shape[:2]
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG")
    shown = image(file.getvalue(), "png", alt, (width * zoom, height * zoom))
    return f'<figure style="width:{width * zoom}px">{shown}<figcaption>{caption}</figcaption></figure>'


def _about(about: About) -> str:
    rows = {name: str(value) for name, value in about.machine.items() if value}
    rows |= {f"vq {vq['name']}": ", ".join(f"{key} {value}" for key, value in vq.items() if key != "name" and value) for vq in about.vq}
    rows |= {f"data {name}": _listed([f"{key}: {value}" for key, value in prints.items()]) for name, prints in about.sources.items()}
    rows["recipe"] = json.dumps(about.recipe)
    body = "".join(f'<dt class="soft">{text(name)}</dt><dd class="key">{text(value)}</dd>' for name, value in rows.items())
    return section("Made with", f'<dl class="about text">{body}</dl>')


def _listed(words: Sequence[str]) -> str:
    more = [f"and {len(words) - MAX_LISTED:,} more, see eval.json"] if len(words) > MAX_LISTED else []
    return "; ".join([*words[:MAX_LISTED], *more])


def _values(cell: Cell) -> tuple[str, ...]:
    figures, speed = cell.figures, cell.speed
    pictures = f"{figures.num_pictures}" + (f" ({cell.num_enlarged} enlarged)" if cell.num_enlarged else "")
    return (
        cell.data,
        str(cell.target_size),
        cell.vq,
        pictures,
        _estimated(figures.psnr, 2),
        _estimated(figures.ssim, 3),
        _estimated(figures.gradient, 3),
        _estimated(figures.edges, 3),
        f"{figures.codes_used} of {figures.codes_reachable} ({figures.codes_used_share:.1%})",
        f"{figures.perplexity:.{1 if figures.perplexity < 100 else 0}f} ({figures.perplexity_share:.1%})",
        f"{figures.bits_raw:.4f} ({figures.bits_entropy:.4f})",
        f"{speed.encode:.2f}" if speed else "-",
        f"{speed.decode:.2f}" if speed else "-",
    )


def _estimated(estimate: Estimate, digits: int) -> str:
    if math.isnan(estimate.mean):
        return "-"
    bounds = "" if math.isnan(estimate.low) else f" [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return f"{estimate.mean:.{digits}f}{bounds}"


def _two_lines(value: str) -> str:
    """What is in brackets goes below."""
    for bracket in (" [", " ("):
        first, found, rest = value.partition(bracket)
        if found and value[-1] in "])":
            inner = rest[:-1] if bracket == " (" else f"[{rest}"
            return f"{text(first)}<small>{text(inner)}</small>"
    return text(value)


def _scored(scores: Scores) -> str:
    share = "-" if math.isnan(scores.gradient_share) else f"{scores.gradient_share:.2f}"
    return f"{scores.psnr:.2f} dB, SSIM {scores.ssim:.3f}, gradient {share}"


def _counted(result: DataResult) -> str:
    return f"{result.num_pictures} pictures, {_bad(result)}"


def _bad(result: DataResult) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in result.bad.items())
    return f"{sum(result.bad.values())} could not be used" + (f" ({reasons})" if reasons else "")
