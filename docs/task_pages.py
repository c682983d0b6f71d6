"""Writes docs/tasks.md: what each task wants and says, its options, and a real sequence of it, drawn and by its ids.

    mgpt prepare examples/omni_sft.toml && python docs/task_pages.py

Dialogues, reasons and options are read from tokenizer/tasks, so the page cannot say anything else than the code does.
"""

# ruff: noqa: E501 (prose)

import ast
import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from jobs.inspection.decode import image_codes, load_vq
from jobs.inspection.dialogue import border_lines, cut_into_pieces, dialogue_lines
from jobs.inspection.strip import ShownTurn, draw_strip, shown_turns
from jobs.recipe import Recipe, load_recipe
from pipeline.images import decode_rgb
from pipeline.roles import VIEW
from pipeline.samples import Sample, TokenSequence
from pipeline.shards.reader import TokenShards
from tokenizer.tasks import TASKS
from tokenizer.text import TextTokenizer

DOCS = Path(__file__).parent
RECIPE = "examples/omni_sft.toml"
SHOWN_VIEWS = 4  # of a sample with many, in the row of what it brings
WANTS = {  # beside what every task wants: a sample that passed the filters
    "text_to_image": "`image`, a caption",
    "captioning": "`image`, a caption",
    "vqa": "the sample's own turns, with pictures in the questions and words in the answers",
    "text_only": "the sample's own turns, and no picture",
    "conversation": "the sample's own turns, whatever they show",
    "depth": "`image`, `depth`",
    "normal": "`image`, `normal`",
    "pose": "`image`, and `pose` or body points",
    "segmentation": "`image`, `segmentation`",
    "grounding": "`image`, detections",
    "referring": "`image`, detections",
    "control": "`image`, a caption, one of the maps",
    "editing": "`image`, `edited_1` ..., and `instruction_1` ... in the metadata",
    "no_edit": "`image`",
    "multiview": "`view_1` to `view_16`, a caption",
    "subject": "`image`, `subject_1` ..., a caption",
    "interleaved": "`image`, a caption, detections with the characters that say them",
}
EXAMPLES = {  # how the key of the sequence that is shown begins; others show a scene
    "text_to_image": "photo/",
    "captioning": "photo/",
    "vqa": "questions/16",
    "no_edit": "photo/",
    "control": "photo/",
}
HEAD = """# Tasks

A task turns a sample into a dialogue. A recipe lists tasks with weights; [format.md](format.md) says what becomes of a dialogue, and
[maps.md](maps.md) and [detect.md](detect.md) where maps, body points and boxes come from that a data set does not bring. Everything below is
made by one run of [`examples/omni_sft.toml`](../examples/omni_sft.toml) with the tokenizers in the box, and looks as their decoder draws it.
`mgpt inspect show OUTPUT KEY --pictures DIR` shows any sequence of yours in this way.

## Weights and the mixture

```toml
[tokens]
mixture = "planned"          # or "drawn"
weights_count = "tokens"     # or "samples"

[[task]]
kind = "depth"
weight = 0.1
wordings = ["Depth estimation. <|image|>", "How far is everything? <|image|>"]
```

A weight is how many sequences of a task are made of a sample, on average; over 1 repeats it. With weights that sum to 1 every sample feeds
one task, with weights that sum to 2 two. *drawn*: each sample draws among the tasks that it can feed, and the run needs one pass; what comes
out hangs on what the samples bring. *planned*: all samples are looked at first (no picture is decoded for it), and the sequences are spread
over them so that each task has its share of the whole run, counted in sequences or in tokens. Where too few samples can feed a task, each
does so up to `max_repeats` times, the others share the rest in their proportions, and what is missing is said: at the end of the run, by `mgpt inspect mixture OUTPUT`, in the report.

Each task has the paper's wording by default. `wordings` takes a list instead, of which one is drawn by seed and key; `{fields}` are filled in,
and an image stands at `<|image|>`.

## One crop for all pictures that lie upon each other

`depth`, `normal`, `segmentation`, `pose`, `canny`, `hed`, `sketch`, `mask` and `edited_N` get the very crop of `image`, whatever their own size. One whose
proportions differ drops the tasks that need it (`depth_not_aligned`). The crop is in the ledger (`crop_box`).

| stored | resized | drawn |
|---|---|---|
| pictures, edges | as the reference does: halved with a box filter, then bicubic | as they are, alpha over white |
| class ids (PNG, palette or gray, 8 or 16 bits) | nearest: no class is invented | by the colour map of PASCAL VOC, which gives every id a colour of its own; maps that are coloured already keep theirs |
| depth (gray of 8 or 16 bits, float TIFF) | over the pixels that are known | scaled by picture: bright is near, unknown is black. `tokens.stored_depth`, or `depth_stored` in a sample's metadata, says what grows: `nearness`, or `distance`, of which the inverse is drawn |
| normals (RGB, c / 127.5 - 1) | over the pixels that are known, then brought back to unit length | as stored |
| body points | moved with the crop | COCO's 17 points as OpenPose draws them, on black |
| boxes | moved with the crop; one of which the crop leaves too little is not used (`box_cut_away`) | on the cropped picture |
"""


def main() -> None:
    output = sys.argv[1] if len(sys.argv) > 1 else "runs/omni_sft"
    shards = TokenShards(output)
    text, vq = TextTokenizer(shards.text_tokenizer), load_vq(shards.manifest)
    recipe = load_recipe(RECIPE, [])
    chosen = choose(shards)
    samples = find_samples(recipe, {sequence.key for sequence in chosen.values()})
    parts = [HEAD, "\n## The tasks\n", index_table()]
    (DOCS / "pictures" / "tasks").mkdir(parents=True, exist_ok=True)
    for kind in TASKS:
        parts.append(task_section(kind))
        if kind in chosen:
            sequence = chosen[kind]
            pieces = cut_into_pieces(sequence, text)
            pixels = [vq.decode(codes_HW[None])[0] for codes_HW in image_codes(sequence, text.vocab)]
            turns = [brought(samples[sequence.key]), *shown_turns(pieces, pixels)]
            draw_strip([turn for turn in turns if turn.content]).save(DOCS / "pictures" / "tasks" / f"{kind}.png", optimize=True)
            lines = [line.rstrip() for line in border_lines(sequence, pieces)]
            words = [line.rstrip() for line in dialogue_lines(pieces, sequence.loss_spans)]
            parts.append(f"`{sequence.key}`, {len(sequence.input_ids):,} tokens, {sequence.num_loss_tokens:,} of them with loss (▌):\n")
            parts.append(f"![a sequence of {kind}](pictures/tasks/{kind}.png)\n")
            parts.append("```\n" + "\n".join(words) + "\n\n" + "\n".join(shorten(lines)) + "\n```\n")
    (DOCS / "tasks.md").write_text("\n".join(parts), encoding="utf-8")


def choose(shards: TokenShards) -> dict[str, TokenSequence]:
    """A sequence of each task: the one with the largest first crop or box where there is a choice, else the first."""
    found: dict[str, TokenSequence] = {}
    for number in range(len(shards)):
        sequence = shards.read(number)
        is_usual = sequence.key.startswith(EXAMPLES.get(sequence.task, ""))
        if is_usual and rank(sequence) > rank(found.get(sequence.task)):
            found[sequence.task] = sequence
    return found


def rank(sequence: TokenSequence | None) -> float:
    """How well a sequence serves as an example."""
    if sequence is None:
        return -1.0
    boxes = [crop["box"] for crop in sequence.metadata.get("crops", ())] or sequence.metadata.get("boxes", ())
    if sequence.task == "text_to_image":  # the usual wording is the longer one
        return len(sequence.input_ids) - sequence.num_loss_tokens
    if sequence.task == "pose":
        return len(re.findall("large [a-z]+ person", sequence.caption))
    return float(sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)) + len(sequence.caption.split()) / 1e3


def find_samples(recipe: Recipe, keys: set[str]) -> dict[str, Sample]:
    """The samples as the source brings them."""
    assert recipe.source is not None
    items = (item for unit in recipe.source.plan(recipe.run.unit_size) for item in recipe.source.read(unit))
    return {item.key: item for item in items if isinstance(item, Sample) and item.key in keys}


def brought(sample: Sample) -> ShownTurn:
    """The pictures that a sample has, each behind its role."""
    content: list[str | np.ndarray] = []
    for number, (role, data) in enumerate(sample.images.items()):
        if role.startswith(f"{VIEW}_") and number >= SHOWN_VIEWS:
            content.append("...")
            break
        content += [role, np.asarray(decode_rgb(data))]
    return ShownTurn("sample", tuple(content))


def index_table() -> str:
    rows = [f"| [`{kind}`](#{kind}) | {WANTS[kind]} |" for kind in TASKS]
    return "\n".join(["| kind | what a sample must bring |", "|---|---|", *rows]) + "\n"


def task_section(kind: str) -> str:
    """Title, dialogue and options, from the code."""
    task = TASKS[kind]
    module = inspect.getmodule(task)
    said = (inspect.getdoc(module) or "").split("\n\n")
    body = [f"```\n{block}\n```" if block.startswith("    ") else block for block in said]
    rows = [f"| `{name}` | `{default}` | {comment} |" for name, default, comment in options(task)]
    table = ["| option | default | |", "|---|---|---|", *rows] if rows else ["No options."]
    return f"\n### {kind}\n\n" + "\n\n".join(body) + f"\n\nWants {WANTS[kind]}.\n\n" + "\n".join(table) + "\n"


def options(task: type) -> list[tuple[str, str, str]]:
    """Name, default and comment of each field."""
    source = inspect.getsource(task).splitlines()
    tree = ast.parse(inspect.cleandoc(inspect.getsource(task)))
    body: list[Any] = tree.body[0].body  # type: ignore[attr-defined]
    places = {node.target.id: node for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    rows = []
    for field in fields(task):
        if not field.init:
            continue
        node = places[field.name]
        lines = source[node.lineno - 1 : node.end_lineno]
        comment = lines[-1].partition("  # ")[2] or lines[0].partition("  # ")[2]
        default = task().__getattribute__(field.name)
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        rows.append((field.name, shown.replace("\n", "\\n").replace("|", "\\|") or "none", comment.strip()))
    return rows


def shorten(lines: list[str]) -> list[str]:
    """The first and the last lines of many."""
    return lines if len(lines) <= 16 else [*lines[:8], f"     ...   {len(lines) - 12} more", *lines[-4:]]


if __name__ == "__main__":
    main()
