"""Which of a sample's captions its sequences say: the one that came with it, or one of those that were generated.

Trained on generated captions alone, a model wants to be asked in the captioner's words; so the two are mixed.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.dice import dice
from pipeline.samples import Caption, Detection, Sample

ORIGINAL = "original"
GENERATED = "generated"  # by any captioner that has no share of its own


def choose_caption(sample: Sample, shares: Mapping[str, float], seed: int, min_score: float = -1.0) -> tuple[Sample, dict[str, Any]]:
    """The sample with the caption that it is to have, and for its metadata where that comes from.

    A sample of which no captioner said anything stays as it is, without metadata. Flawed captions are never used. Where the drawn kind is
    missing, it is drawn among the others that have a share, and without one of those any caption will do, the original first.

    The spans of detections follow: where another caption says the same words, that is their place, and where it does not, they have none.

    Args:
        shares: By ORIGINAL, GENERATED or a captioner's name; they need not add up to 1.
        min_score: CLIP score below which a generated caption counts as flawed.
    """
    if not sample.captions:
        return sample, {}
    choices = _choices(sample, shares, min_score)
    rng = dice(seed, sample.key, "caption")
    name = _draw(shares, rng.random())
    if name not in choices:
        rest = {other: share for other, share in shares.items() if share and other in choices}
        name = _draw(rest, rng.random()) if rest else next(iter(choices), ORIGINAL)
    chosen = choices.get(name, [None])
    caption = chosen[int(rng.random() * len(chosen))]
    if caption is None:
        return sample, {"caption_source": ORIGINAL}
    detections = tuple(_move_span(detection, sample.caption, caption.text) for detection in sample.detections)
    return replace(sample, caption=caption.text, detections=detections), {
        "caption_source": caption.source,
        "caption_provenance": _provenance(caption),
    }


def _choices(sample: Sample, shares: Mapping[str, float], min_score: float) -> dict[str, list[Caption | None]]:
    """What there is by name of its share, None for the original; the original comes first."""
    choices: dict[str, list[Caption | None]] = {ORIGINAL: [None]} if sample.caption.strip() else {}
    for caption in sample.captions:
        if not caption.flaw and (caption.clip_score is None or caption.clip_score >= min_score):
            choices.setdefault(caption.source if caption.source in shares else GENERATED, []).append(caption)
    return choices


def _move_span(detection: Detection, before: str, after: str) -> Detection:
    """A detection whose span says where `after` first has the words that it has in `before`: whole words, in capitals or not."""
    if detection.span is None:
        return detection
    words = before[slice(*detection.span)].strip()
    found = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", after, re.IGNORECASE) if words else None
    return replace(detection, span=found.span() if found else None)


def _draw(shares: Mapping[str, float], point: float) -> str:
    """The name whose part of the line from 0 to the sum holds the point, in [0, 1)."""
    reached, aim = 0.0, point * sum(shares.values())
    for name, share in shares.items():
        reached += share
        if aim < reached:
            return name
    return next(name for name in reversed(list(shares)) if shares[name])  # rounding


def _provenance(caption: Caption) -> dict[str, Any]:
    said = {name: getattr(caption, name) for name in ("model", "revision", "prompt_hash", "finish", "num_tokens", "clip_score")}
    return {name: value for name, value in said.items() if value not in ("", None)}
