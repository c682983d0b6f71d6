"""The work behind `mgpt eval-vq`: a source's pictures, cut as `mgpt prepare` cuts them, through every quantizer, and how long that takes.

Pictures are read once; all quantizers see the same pixels. In memory are the pictures that wait for a batch of one size, six numbers of
each picture that is done, and the few that are shown.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.buckets import cover_scale, fit_bucket
from pipeline.dice import dice
from pipeline.errors import RecipeError
from pipeline.images import PictureError, apply_crop, decode_rgb, plan_crop
from pipeline.samples import BadSample, Sample
from pipeline.sources import Source
from tokenizer.vq import LoadedVQ
from tokenizer.vq.measures import BATCH_PIXELS, Figures, Scores, Tally, measure_pictures

UNIT_SIZE = 256  # records read from a source at a time
WAITING_PIXELS = 1 << 26  # bound on what waits for its batch to fill: 192 MiB of RGB
MIN_ROUNDS = 3  # of a timing, however long one takes
SECONDS_BETWEEN_LINES = 10.0  # of progress


@dataclass(frozen=True)
class NamedData:
    """A source of pictures under the name that the tables show."""

    name: str
    source: Source
    limit: int  # usable pictures that are taken, from the beginning; 0: all


@dataclass(frozen=True)
class NamedVQ:
    """A quantizer in memory under the name that the tables show."""

    name: str
    loaded: LoadedVQ
    num_codes: int


@dataclass(frozen=True)
class Plan:
    """What is done with each source."""

    target_sizes: tuple[int, ...]  # pixels a side of the square whose area a bucket has
    num_shown: int  # pictures a source and target that the page shows
    seed: int  # of the bootstrap and of the choice of shown pictures


@dataclass(frozen=True)
class Speed:
    """Medians over calls with one batch."""

    encode: float  # pictures a second
    decode: float
    num_pictures: int  # a batch
    side: int  # pixels; the pictures are square


@dataclass(frozen=True)
class Cell:
    """One quantizer on one source at one target."""

    data: str
    target_size: int
    vq: str
    num_enlarged: int  # pictures smaller than their bucket: they hold less detail than their pixels could, and come back more easily
    figures: Figures
    speed: Speed | None  # of the quantizer at the target, whatever the source; None: not timed


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One quantizer on one picture at one target."""

    data: str
    target_size: int
    vq: str
    key: str
    width: int  # pixels, after the cut
    height: int
    enlarged: bool
    scores: Scores


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture for the page."""

    data: str
    target_size: int
    key: str
    original_HWC: np.ndarray
    decoded: tuple[tuple[str, np.ndarray, Scores], ...]  # quantizer's name, uint8 [H, W, 3], scores


@dataclass(frozen=True, eq=False)
class DataResult:
    """All that came of one source."""

    name: str
    num_pictures: int
    bad: Mapping[str, int]  # records that could not be used, by reason
    cells: tuple[Cell, ...]
    rows: tuple[PictureRow, ...]
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    number: int  # in the source
    key: str
    target_size: int
    enlarged: bool
    pixels_HWC: np.ndarray


def first_picture(data: NamedData) -> Image.Image:
    """The first picture of a source that can be used.

    Raises:
        RecipeError: There is none.
    """
    bad: Counter[str] = Counter()
    for _, picture in _pictures(data, bad):
        return picture
    reasons = ", ".join(f"{count} {reason}" for reason, count in bad.most_common())
    raise RecipeError(f"data '{data.name}': no picture in the source could be used; {sum(bad.values())} records ({reasons})")


def evaluate_data(
    data: NamedData, vqs: tuple[NamedVQ, ...], plan: Plan, speeds: Mapping[tuple[str, int], Speed], report: Callable[[str], None]
) -> DataResult:
    """Measure every quantizer on a source at every target.

    Args:
        data: Holds a usable picture, as `first_picture` finds out.
        speeds: By the quantizer's name and the target, where they were timed.
        report: Takes lines of progress.
    """
    bad: Counter[str] = Counter()
    numbered: list[tuple[int, PictureRow]] = []
    tallies = {(target, vq.name): Tally(vq.num_codes) for target in plan.target_sizes for vq in vqs}
    enlarged: Counter[int] = Counter()
    shown: dict[int, dict[tuple[float, int], Shown]] = {target: {} for target in plan.target_sizes}
    last_line = time.monotonic()
    for batch in _batches(_cuts(data, plan.target_sizes, bad)):
        target = batch[0].target_size
        passes = zip(*(measure_pictures(vq.loaded, [cut.pixels_HWC for cut in batch]) for vq in vqs), strict=True)
        for cut, measured in zip(batch, passes, strict=True):
            enlarged[target] += cut.enlarged
            for vq, each in zip(vqs, measured, strict=True):
                tallies[target, vq.name].add(each)
                height, width = cut.pixels_HWC.shape[:2]
                numbered.append((cut.number, PictureRow(data.name, target, vq.name, cut.key, width, height, cut.enlarged, each.scores)))
            decoded = tuple((vq.name, each.decoded_HWC.copy(), each.scores) for vq, each in zip(vqs, measured, strict=True))
            _offer(shown[target], plan, cut.number, Shown(data.name, target, cut.key, cut.pixels_HWC, decoded))
        if time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            report(f"{data.name}: {len(numbered) // len(vqs)} cuts done")
    cells = tuple(
        Cell(data.name, target, name, enlarged[target], tally.figures(plan.seed), speeds.get((name, target)))
        for (target, name), tally in tallies.items()
    )
    num_pictures = cells[0].figures.num_pictures
    report(f"{data.name}: {num_pictures} pictures, {sum(bad.values())} could not be used")
    order = {target: place for place, target in enumerate(plan.target_sizes)}
    rows = tuple(row for _, row in sorted(numbered, key=lambda item: (order[item[1].target_size], item[0])))
    pictures = tuple(chosen[rank] for chosen in shown.values() for rank in sorted(chosen))
    return DataResult(data.name, num_pictures, dict(bad.most_common()), cells, rows, pictures)


def time_vq(vq: LoadedVQ, picture: Image.Image, side: int, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """How fast a full batch is encoded and decoded, after a call of each that does not count.

    Args:
        picture: Cut to a square and repeated: speed does not depend on what is in a picture.
        side: Of the square, pixels.
        seconds: Calls go on for so long at least, of either, and for MIN_ROUNDS calls.
        clock: In seconds.
    """
    square_HWC = np.asarray(apply_crop(picture, plan_crop(picture.size, (side, side))))
    count = max(1, BATCH_PIXELS // side**2)
    pixels_BHWC = np.stack([square_HWC] * count)
    codes_Bhw = vq.encode(pixels_BHWC)
    encode = _median_seconds(lambda: vq.encode(pixels_BHWC), seconds, clock)
    vq.decode(codes_Bhw)
    decode = _median_seconds(lambda: vq.decode(codes_Bhw), seconds, clock)
    return Speed(count / encode, count / decode, count, side)


def _median_seconds(work: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    took: list[float] = []
    while len(took) < MIN_ROUNDS or sum(took) < seconds:
        start = clock()
        work()
        took.append(clock() - start)
    return float(np.median(took))


def _offer(chosen: dict[tuple[float, int], Shown], plan: Plan, number: int, picture: Shown) -> None:
    """Keep the pictures whose lots are lowest. The lot hangs on the key: every target shows the same pictures, in one order."""
    chosen[dice(plan.seed, picture.key, "eval_vq").random(), number] = picture
    if len(chosen) > plan.num_shown:
        del chosen[max(chosen)]


def _pictures(data: NamedData, bad: Counter[str]) -> Iterator[tuple[str, Image.Image]]:
    num_usable = 0
    for unit in data.source.plan(UNIT_SIZE):
        for sample in data.source.read(unit):
            try:
                picture = _decoded(sample)
            except PictureError as error:
                bad[error.reason] += 1
                continue
            yield sample.key, picture
            num_usable += 1
            if num_usable == data.limit:
                return


def _decoded(sample: Sample | BadSample) -> Image.Image:
    if isinstance(sample, BadSample):
        raise PictureError(sample.reason, sample.message)
    if sample.main_role is None:
        raise PictureError("no_picture", "the sample is text alone")
    return decode_rgb(sample.images[sample.main_role])


def _cuts(data: NamedData, target_sizes: tuple[int, ...], bad: Counter[str]) -> Iterator[_Cut]:
    for number, (key, picture) in enumerate(_pictures(data, bad)):
        for target in target_sizes:
            bucket = fit_bucket(*picture.size, target)
            pixels = np.asarray(apply_crop(picture, plan_crop(picture.size, bucket)))
            yield _Cut(number, key, target, cover_scale(*picture.size, bucket) > 1, pixels)


def _batches(cuts: Iterator[_Cut]) -> Iterator[list[_Cut]]:
    """Cuts of one target and size together, as many as fit into a batch; the fullest group goes early where too much waits."""
    waiting: dict[tuple[int, int, int], list[_Cut]] = {}
    for cut in cuts:
        height, width = cut.pixels_HWC.shape[:2]
        group = waiting.setdefault((cut.target_size, width, height), [])
        group.append(cut)
        if (len(group) + 1) * height * width > BATCH_PIXELS:
            yield waiting.pop((cut.target_size, width, height))
        elif sum(len(each) * size[1] * size[2] for size, each in waiting.items()) > WAITING_PIXELS:
            yield waiting.pop(max(waiting, key=lambda size: (len(waiting[size]) * size[1] * size[2], size)))
    yield from waiting.values()
