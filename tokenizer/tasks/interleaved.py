"""Interleaved prompts: a caption whose things are shown before their words, made from its detections.

    user       a <image> man and his <image> dog on a beach <image>
    assistant  <image>

The pictures in the prompt are parts of the answer, in a small size of their own; the last one, in some of the prompts, is a map of the
whole. Which detections are shown and whose head a person's crop becomes: crops.py, heads.py. Why some crops are changed: augment.py. The
paper says nothing of crops or words that are left out at random, and none are.

Source: MUMU (arXiv 2406.18790): at most 3 crops before their words, 150 x 150 pixels to 75 % of the picture, 70 % heads, 20 % changed,
30 % with a canny, depth or sketch map. 0.35 is the box threshold of its detector, GroundingDINO. The other defaults are not in the paper.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.boxes import clip_box
from pipeline.buckets import GRID
from pipeline.persons import PERSON, is_person
from pipeline.roles import MAPS
from pipeline.samples import IMAGE_MARK, Box, Change, Conversation, Detection, Drop, ImageRef, Sample, Turn
from tokenizer.framing import Framing, Framings
from tokenizer.tasks.augment import KINDS, NUM_DICE, ChangeKind, draw_changes
from tokenizer.tasks.crops import Candidate, find_candidates, picture_share, pixel_area, settle_overlaps
from tokenizer.tasks.heads import HEAD_WORDS, find_head, is_head, widen_box
from tokenizer.tasks.task import lacks
from tokenizer.tasks.wording import check_wordings, pick_wording, say

FIELD = "{prompt}"
FRACTIONS = (
    *("min_confidence", "max_crop_share", "min_visible", "max_overlap", "head_fraction", "augment_fraction"),
    *("min_kept_side", "extra_map_fraction"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in the prompt and the words that it stands before."""

    ref: ImageRef
    phrase: str
    span: tuple[int, int]  # characters of the caption
    is_head: bool


@dataclass(frozen=True)
class Interleaved:
    """The caption asks, with crops of the picture in it; the whole picture answers."""

    wordings: tuple[str, ...] = (FIELD,)  # around the prompt; one of them by sample; {width} and {height} may occur
    max_crops: int = 3  # in a prompt; where more can be shown they are drawn
    min_confidence: float = 0.35  # of a detection, in [0, 1]
    min_crop_side: int = 150  # pixels of the original: a crop has at least the area of this square
    max_crop_share: float = 0.75  # of the picture's area, in [0, 1]
    min_visible: float = 0.5  # share of a crop that is to be seen in the answer, after its own cut
    max_overlap: float = 0.7  # intersection over union; of two boxes above it one is used
    crop_target_size: int = 256  # pixels, as [tokens] target_size, which 0 stands for; the paper's crops are all of one size too
    head_fraction: float = 0.7  # of the crops of persons whose head is found: the head alone is shown
    min_head_side: int = 64  # pixels of the original: a head has at least the area of this square
    head_margin: float = 0.2  # of a head's width and height, on each side
    person_words: tuple[str, ...] = PERSON  # a phrase that ends in one is a person
    head_words: tuple[str, ...] = HEAD_WORDS  # a phrase that is one of them is a head
    augment_fraction: float = 0.2  # of the crops: changed, so that they cannot be pasted into the answer
    changes: tuple[ChangeKind, ...] = KINDS  # that may be drawn, at least one for a changed crop
    min_kept_side: float = 0.7  # share of both sides that the change "crop" keeps at least
    noise_std: tuple[float, float] = (5.0, 15.0)  # of the change "noise": least and largest, of 255
    extra_map_fraction: float = 0.3  # of the prompts whose sample has such a map: it stands at the end
    extra_maps: tuple[str, ...] = ("canny", "depth", "sketch")  # roles; one of those that are there
    map_target_size: int = 256  # pixels; 0: the recipe's target size, and the very cut of the answer

    def __post_init__(self) -> None:
        check_wordings("wordings", self.wordings, ("prompt",), optional=("width", "height"))
        for wording in self.wordings:
            if wording.count(FIELD) != 1:
                raise ValueError(f"wordings: wants {FIELD} once, got {wording!r}")
        for name in FRACTIONS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name):g}")
        for name in ("max_crops", "min_crop_side", "min_head_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")
        for name in ("crop_target_size", "map_target_size"):
            if getattr(self, name) < 0 or getattr(self, name) % GRID:
                raise ValueError(f"{name} is a multiple of {GRID}, or 0, got {getattr(self, name)}")
        if not self.min_kept_side > 0:
            raise ValueError("min_kept_side: nothing would be left of a crop")
        if not 0 <= self.head_margin < float("inf"):
            raise ValueError(f"head_margin is at least 0, got {self.head_margin:g}")
        if not 0 <= self.noise_std[0] <= self.noise_std[1] <= 255:
            raise ValueError(f"noise_std: the least and the largest in [0, 255] are wanted, got {self.noise_std}")
        if self.augment_fraction and not self.changes:
            raise ValueError("changes: at least one is wanted, or an augment_fraction of 0")
        known = [role for role in MAPS if role != "mask"]
        if unknown := [role for role in self.extra_maps if role not in known]:
            raise ValueError(f"extra_maps: {unknown[0]!r} is none of {', '.join(known)}")
        if self.extra_map_fraction and not self.extra_maps:
            raise ValueError("extra_maps: at least one is wanted, or an extra_map_fraction of 0")

    def format(self, sample: Sample, framings: Framings, rng: random.Random) -> Conversation | Drop:
        """The dice are thrown for all detections, used or not: an option that shuts one out moves no other's luck."""
        if drop := lacks(sample, framings, "image"):
            return drop
        if not sample.caption.strip():
            return Drop(sample.key, "no_caption")
        map_dice = rng.random(), rng.random()
        dice = [[rng.random() for _ in range(3 + NUM_DICE)] for _ in sample.detections]
        wording = pick_wording(self.wordings, rng)
        framing = framings["image"]
        candidates = find_candidates(
            sample.caption,
            sample.detections,
            framing,
            min_confidence=self.min_confidence,
            min_side=self.min_crop_side,
            max_share=self.max_crop_share,
            min_visible=self.min_visible,
        )
        if isinstance(candidates, str):
            return Drop(sample.key, candidates)
        drawn = sorted(settle_overlaps(candidates, self.max_overlap), key=lambda candidate: dice[candidate.number][0])[: self.max_crops]
        drawn.sort(key=lambda candidate: candidate.span)
        taken = {candidate.number for candidate in drawn}
        others = [replace(other, box=clip_box(other.box)) for number, other in enumerate(sample.detections) if number not in taken]
        shown = [self._show(candidate, [*drawn], others, framing, dice[candidate.number][1:]) for candidate in drawn]
        extra_map = self._extra_map(framings, *map_dice)
        prompt, images = _interleave(sample.caption, shown, extra_map)
        width, height = framing.size
        values = {f"text_{number}": text for number, text in enumerate(prompt)} | {"width": width, "height": height}
        spliced = IMAGE_MARK.join(f"{{text_{number}}}" for number in range(len(prompt)))
        content = say(wording.replace(FIELD, spliced), values, images)
        turns = (Turn("user", content), Turn("assistant", (ImageRef("image"),)))
        return Conversation(sample.key, "interleaved", turns, _notes(shown, extra_map))

    def _show(
        self, candidate: Candidate, drawn: Sequence[Candidate], others: Sequence[Detection], framing: Framing, dice: Sequence[float]
    ) -> Shown:
        head_die, augment_die, *change_dice = dice
        head = self._head(candidate, drawn, others, framing) if head_die < self.head_fraction else None
        changes: tuple[Change, ...] = ()
        if augment_die < self.augment_fraction:
            changes = draw_changes(change_dice, self.changes, min_kept_side=self.min_kept_side, noise_std=self.noise_std)
        ref = ImageRef("image", box=head or candidate.box, target_size=self.crop_target_size, changes=changes)
        return Shown(ref, candidate.phrase, candidate.span, head is not None)

    def _head(self, candidate: Candidate, drawn: Sequence[Candidate], others: Sequence[Detection], framing: Framing) -> Box | None:
        """The head's box that is shown for a person; None: this is no person, or no head of his can be shown. A crop of its own is none."""
        if not is_person(candidate.phrase, self.person_words):
            return None
        confident = [other for other in others if other.confidence >= self.min_confidence]
        found: list[Candidate | Detection] = [*drawn, *confident]
        persons = [one.box for one in found if is_person(one.phrase, self.person_words)]
        heads = [
            other
            for other in confident
            if is_head(other.phrase, self.head_words)
            and pixel_area(other.box, framing) >= self.min_head_side**2
            and framing.box(other.box)[1] >= self.min_visible
        ]
        head = find_head(candidate.box, persons, heads, self.max_overlap)
        if head is None:
            return None
        wide = widen_box(head, self.head_margin)
        return wide if picture_share(wide, framing) <= self.max_crop_share else None

    def _extra_map(self, framings: Framings, chance: float, which: float) -> ImageRef | None:
        there = [role for role in self.extra_maps if role in framings and framings[role].is_aligned]
        if not there or chance >= self.extra_map_fraction:
            return None
        return ImageRef(there[int(which * len(there))], target_size=self.map_target_size)


def _interleave(caption: str, shown: Sequence[Shown], extra_map: ImageRef | None) -> tuple[list[str], list[ImageRef]]:
    """The texts before, between and after the images, and the images: one space follows each, and one stands before the map."""
    starts = [one.span[0] for one in shown]
    texts = [caption[start:stop] for start, stop in zip([0, *starts], [*starts, len(caption)], strict=True)]
    texts[1:] = [f" {text}" for text in texts[1:]]
    images = [one.ref for one in shown]
    if extra_map is not None:
        texts[-1] = texts[-1].rstrip() + " "
        texts.append("")
        images.append(extra_map)
    return texts, images


def _notes(shown: Sequence[Shown], extra_map: ImageRef | None) -> dict[str, Any]:
    crops = [
        {
            "phrase": one.phrase,
            "span": list(one.span),
            "box": list(one.ref.box or ()),
            "head": one.is_head,
            "changes": [{"kind": change.kind, "values": list(change.values)} for change in one.ref.changes],
        }
        for one in shown
    ]
    return {"crops": crops} | ({"extra_map": extra_map.name} if extra_map is not None else {})
