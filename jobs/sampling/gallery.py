"""`index.html`: every answer with what was asked. Pictures are linked, so the page opens at once however many there are."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from jobs.reporting.page import page, section, text
from jobs.sampling.plan import Asked, read_pixels
from pipeline import paths
from pipeline.samples import IMAGE_MARK

THUMBNAIL = 256  # pixels of the longer side of a dialogue's pictures
FACTS = ("size", "seed", "guidance", "image_guidance", "temperature", "image_top_k", "finish")  # below each answer
SHARED = ("checkpoint", "weights", "dtype")  # of the whole run
SPEAKERS = {"user": "asked", "assistant": "answered"}


def write_gallery(path: Path, inputs: Path, asked: Sequence[Asked], lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the page, and thumbnails of the pictures that were shown to the model.

    Args:
        inputs: The folder for these, beside the page.
    """
    for one in asked:
        _write_thumbnails(inputs, one)
    figures = "".join(_figure(line, inputs.name) for line in lines)
    facts = "".join(f"<dt>{name}</dt><dd>{text(lines[0][name])}</dd>" for name in SHARED) if lines else ""
    pictures = sum(len(line["files"]) for line in lines)
    sections = [
        f"<h1>Samples</h1><p>{len(lines):,} answers, {pictures:,} pictures.</p>",
        section("Answers", f'<div class="pictures">{figures}</div>'),
        section("Model", f'<dl class="about">{facts}</dl>'),
    ]
    paths.commit_bytes(str(path), page("Samples", sections))


def _figure(line: Mapping[str, Any], inputs: str) -> str:
    shown = "".join(_picture(line, file) for file in line["files"])
    words = "".join(f"<span>{said}</span>" for said in _asked(line, inputs))
    if line["text"]:
        words += f'<span>answer: <bdi dir="auto">{text(line["text"])}</bdi></span>'
    facts = ", ".join(f"{name} {line[name]}" for name in FACTS if line.get(name) is not None)
    if line["answer"] == "text":
        facts = ", ".join(f"{name} {line[name]}" for name in ("seed", "temperature", "text_top_k", "finish"))
    words += f'<code class="key">{text(line["key"])}</code> {text(facts)}'
    return f'<figure id="{text(line["key"])}">{shown}<figcaption>{words}</figcaption></figure>'


def _picture(line: Mapping[str, Any], file: str) -> str:
    width, height = line["size"].split("x") if "x" in line["size"] else ("", "")
    sides = f' width="{text(width)}" height="{text(height)}"' if width else ""
    return f'<a href="{text(file)}"><img src="{text(file)}" alt="{text(line["prompt"])}" loading="lazy"{sides}></a>'


def _asked(line: Mapping[str, Any], inputs: str) -> list[str]:
    """The prompt, or a dialogue turn by turn with its pictures in place; HTML."""
    if "turns" not in line:
        return [f'<bdi dir="auto">{text(line["prompt"])}</bdi>']
    pictures = iter(line.get("pictures", ()))
    said = []
    for role, words in line["turns"]:
        pieces = words.split(IMAGE_MARK)
        body = text(pieces[0])
        for piece in pieces[1:]:
            shown = next(pictures)
            body += f'<img src="{text(inputs)}/{text(_thumbnail_name(shown["sha256"]))}" alt="{text(shown["file"])}" loading="lazy">'
            body += text(piece)
        said.append(f'{SPEAKERS[role]}: <bdi dir="auto">{body}</bdi>')
    return said


def _write_thumbnails(inputs: Path, one: Asked) -> None:
    names = [_thumbnail_name(shown["sha256"]) for shown in one.line.get("pictures", ())]
    if all((inputs / name).is_file() for name in names):
        return
    for name, pixels_HWC in zip(names, read_pixels(one).values(), strict=True):
        picture = Image.fromarray(pixels_HWC)
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        paths.commit_bytes(str(inputs / name), file.getvalue())


def _thumbnail_name(digest: str) -> str:
    return f"{digest[:16]}.jpg"
