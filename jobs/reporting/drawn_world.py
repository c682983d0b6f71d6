"""The report's section on a drawn world: what was asked for, what a detector sees, and every picture."""

from collections import Counter
from collections.abc import Sequence

from jobs.drawn_world import Judged, describe
from jobs.reporting.charts import Bar, bar_list
from jobs.reporting.model import thumbnail
from jobs.reporting.page import section, text
from jobs.reporting.run_data import RunData
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.sources.scene import COLORS
from pipeline.sources.scene_shapes import SHAPES

MAX_PICTURES = 200
PROPERTIES = {"shape": "shape", "color": "colour", "ground": "ground", "size": "size word", "place": "place"}


def asked_and_seen(data: RunData, judged: Sequence[Judged]) -> str:
    """Shares right, by shape and by colour, and all pictures; the wrong ones are marked."""
    if not judged:
        return ""
    found = describe(judged)
    num, right = len(judged), sum(one.is_right for one in judged)
    well_formed = sum(not one.problems for one in judged)
    what = "size in pixels, every line break and all else that the grammar wants" if found["sequences_checked"] == num else "size in pixels"
    note = (
        f"{right:,} of {num:,} pictures ({found['share_right']:.1%}) show the right shape in the right colour, by a detector on pixels. "
        f"{found['combinations_held_out']:,} of them are of a shape and a colour that were never shown together in training. "
        f"{well_formed:,} are as asked in {what}."
    )
    bars = [_bar(f"<b>{word}</b>", [(one.is_as_asked(name), "") for one in judged]) for name, word in PROPERTIES.items()]
    bars += [_bar(text(shape), [(one.is_right, _seen(one)) for one in judged if one.asked.shape == shape]) for shape in SHAPES]
    bars += [_bar(text(color), [(one.is_right, _seen(one)) for one in judged if one.asked.color == color]) for color in COLORS]
    figures = "".join(_figure(data.output, one) for one in judged[:MAX_PICTURES])
    note += f" The first {MAX_PICTURES} are shown." if num > MAX_PICTURES else ""
    body = bar_list([bar for bar in bars if bar is not None])
    return section("Asked and seen", f'{body}<div class="pictures single">{figures}</div>', note)


def _bar(label: str, pictures: Sequence[tuple[bool, str]]) -> Bar | None:
    """How many are right, and what is seen in place of the others."""
    if not pictures:
        return None
    num, right = len(pictures), sum(is_right for is_right, _ in pictures)
    others = Counter(seen for is_right, seen in pictures if not is_right and seen)
    details = [text("seen: " + ", ".join(f"{count} {seen}" for seen, count in others.most_common()))] if others else []
    return Bar(label, f"{right:,} of {num:,}", [("", right / num), ("failed", 1 - right / num)], details)


def _seen(one: Judged) -> str:
    if one.seen is None:
        return "no file"
    return f"{one.seen.color} {one.seen.shape or 'something'}" if one.seen.color else "nothing"


def _figure(output: str, one: Judged) -> str:
    file, prompt = str(one.line.get("file", "")), str(one.line.get("prompt", ""))
    try:
        shown = thumbnail(paths.read_bytes(paths.join(output, "samples", file)), prompt) if one.seen else ""
    except RecipeError:  # it was removed since
        shown = ""
    shown = shown or f'<div class="blank">{text(file)} is not there</div>'
    wrong = ([] if one.is_right else [f"seen: {_seen(one)}"]) + list(one.problems)
    mark = f'<span><i class="swatch failed"></i> {text("; ".join(wrong))}</span>' if wrong else ""
    return f'<figure{" class=wrong" if wrong else ""}>{shown}<figcaption><bdi dir="auto">{text(prompt)}</bdi>{mark}</figcaption></figure>'
