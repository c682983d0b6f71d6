"""Which changes a crop gets before it stands in a prompt.

The crops come from the very picture that is the answer, so a model can earn its loss by copying their pixels; the paper saw it do so when
it left the changes out. A crop that was mirrored, cut closer, made noisy or gray shows what a thing is, and cannot be pasted.

crop    an equal share of both sides is kept, at a random place: proportions stay
flip    left and right
noise   Gaussian, with a standard deviation of 255 grades and a seed of its own
gray    after the noise, so that the noise has no colour either

Source: MUMU (arXiv 2406.18790): the four kinds, on 20 % of the conditioning pictures. Their strengths and how often each is drawn are not
in the paper.
"""

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from pipeline.samples import Change

ChangeKind = Literal["crop", "flip", "noise", "gray"]
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)  # the order in which they are done

CHANCES: dict[ChangeKind, float] = {"crop": 0.5, "flip": 0.5, "noise": 0.5, "gray": 0.3}
NUM_DICE = 10  # that one crop's changes take, whatever is drawn
SEEDS = 2**31  # of noise


def draw_changes(
    dice: Sequence[float], kinds: Collection[ChangeKind], *, min_kept_side: float, noise_std: tuple[float, float]
) -> tuple[Change, ...]:
    """Each of the kinds by its own chance, and one of them where none came up.

    Args:
        dice: NUM_DICE numbers in [0, 1).
        kinds: That are allowed; at least one.
        min_kept_side: Share of each side that a crop keeps at least.
        noise_std: The least and the largest, of 255.
    """
    crop, kept, x, y, flip, noise, std, seed, gray, spare = dice
    chances: dict[ChangeKind, float] = {"crop": crop, "flip": flip, "noise": noise, "gray": gray}
    allowed = [kind for kind in KINDS if kind in kinds]
    drawn = [kind for kind in allowed if chances[kind] < CHANCES[kind]] or [allowed[int(spare * len(allowed))]]
    share = round(min_kept_side + (1 - min_kept_side) * kept, 4)
    x0, y0 = (round((1 - share) * place, 4) for place in (x, y))
    low, high = noise_std
    values: dict[ChangeKind, tuple[float, ...]] = {
        "crop": (x0, y0, min(round(x0 + share, 4), 1.0), min(round(y0 + share, 4), 1.0)),
        "noise": (round(low + (high - low) * std, 2), float(int(seed * SEEDS))),
    }
    return tuple(Change(kind, values.get(kind, ())) for kind in drawn)
