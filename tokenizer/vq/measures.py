"""How well a quantizer brings pictures back: PSNR, SSIM and detail of each picture, use of the codebook over all of them.

    tally = Tally(vq.num_codes)
    for measured in measure_pictures(vq.load(), pictures):
        tally.add(measured)
    print(tally.figures(seed=0))

Shapes: H x W pixels, B pictures of one size, h x w codes, K codes in the codebook, N pictures in all, R resamples.

Source: Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity" (SSIM; the code is
torchmetrics'); Efron 1979 (the percentile bootstrap).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tokenizer.vq import LoadedVQ

MAX_PSNR = 100.0  # dB, of two equal pictures: infinity would swallow the mean; one wrong level in a picture of 256 x 256 is 101 dB
BATCH_PIXELS = 1 << 21  # that are encoded at once: eight pictures of 512 x 512, as `mgpt prepare` does
NUM_RESAMPLES = 1000
LEVEL = 0.95  # of the intervals
EDGE = 32.0  # levels a pixel
SSIM_SIGMA = 1.5  # pixels
SSIM_BORDER = 5  # pixels from the middle of SSIM's window to its edge: nearer to the picture's edge the window is not whole


@dataclass(frozen=True, slots=True)
class Scores:
    """How near one picture came back."""

    psnr: float  # dB
    ssim: float  # 1 for equal pictures
    gradient: float  # mean gradient magnitude of the decoded picture, levels a pixel
    original_gradient: float  # and of the original
    edges: float  # contrast of the decoded picture where the original has edges, levels; 0 without edges
    original_edges: float  # and of the original

    @property
    def gradient_share(self) -> float:
        """The decoded picture's detail as a share of the original's; NaN where the original has none."""
        return self.gradient / self.original_gradient if self.original_gradient else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One picture there and back."""

    codes_hw: np.ndarray
    decoded_HWC: np.ndarray  # uint8
    scores: Scores


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over pictures with its interval, which is NaN where a single picture allows none."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of pictures says of a quantizer."""

    num_pictures: int
    psnr: Estimate  # dB, mean over pictures
    ssim: Estimate  # mean over pictures
    gradient: Estimate  # sum of the decoded pictures' mean gradients over the sum of the originals'; NaN where these have none
    edges: Estimate  # likewise, of the contrast where the originals have edges
    num_codes: int  # in the codebook
    codes_emitted: int
    codes_reachable: int  # the smaller of the two: no set of pictures uses more different codes than it has codes
    codes_used: int  # different ones
    codes_used_share: float  # of the codebook
    perplexity: float  # exp of the entropy of the codes' frequencies; too low where few codes were emitted
    perplexity_share: float  # of the codebook
    bits_raw: float  # a pixel, every code stored with log2 K bits
    bits_entropy: float  # a pixel, codes stored by their frequencies


class Tally:
    """Adds up pictures; keeps six numbers of each, and a count for each code.

    Args:
        num_codes: In the codebook.
    """

    def __init__(self, num_codes: int):
        self._counts_K = np.zeros(num_codes, np.int64)
        self._scores: list[Scores] = []
        self._num_pixels = 0

    def add(self, measured: Measured) -> None:
        """Take one picture."""
        self._counts_K += np.bincount(measured.codes_hw.ravel(), minlength=len(self._counts_K))
        self._scores.append(measured.scores)
        self._num_pixels += measured.decoded_HWC.shape[0] * measured.decoded_HWC.shape[1]

    def figures(self, seed: int) -> Figures:
        """What there is to say so far.

        Args:
            seed: Of the bootstrap.

        Raises:
            ValueError: No picture was added.
        """
        if not self._scores:
            raise ValueError("there are no figures of no pictures")
        rows_N6 = np.array([(s.psnr, s.ssim, s.gradient, s.original_gradient, s.edges, s.original_edges) for s in self._scores])
        means_6, resampled_R6 = rows_N6.mean(0), bootstrap(rows_N6, seed)
        num_codes, emitted = len(self._counts_K), int(self._counts_K.sum())
        used, spread = int((self._counts_K > 0).sum()), perplexity(self._counts_K)
        codes_a_pixel = emitted / self._num_pixels
        return Figures(
            num_pictures=len(rows_N6),
            psnr=_estimate(means_6[0], resampled_R6[:, 0], len(rows_N6)),
            ssim=_estimate(means_6[1], resampled_R6[:, 1], len(rows_N6)),
            gradient=_estimate(_ratio(means_6[2], means_6[3]), _ratio(resampled_R6[:, 2], resampled_R6[:, 3]), len(rows_N6)),
            edges=_estimate(_ratio(means_6[4], means_6[5]), _ratio(resampled_R6[:, 4], resampled_R6[:, 5]), len(rows_N6)),
            num_codes=num_codes,
            codes_emitted=emitted,
            codes_reachable=min(num_codes, emitted),
            codes_used=used,
            codes_used_share=used / num_codes,
            perplexity=spread,
            perplexity_share=spread / num_codes,
            bits_raw=float(np.log2(num_codes)) * codes_a_pixel,
            bits_entropy=float(np.log2(spread)) * codes_a_pixel,
        )


def measure_pictures(vq: LoadedVQ, pictures: Iterable[np.ndarray]) -> Iterator[Measured]:
    """Encode, decode and compare, as the pictures come. Neighbours of one size go through the quantizer together.

    Args:
        pictures: uint8 RGB [H, W, 3]; sides are multiples of the quantizer's `downsample`.

    Yields:
        One a picture, in order.
    """
    for shape, group in groupby(pictures, key=np.shape):
        for pixels_BHWC in _stacked(group, max(1, BATCH_PIXELS // (shape[0] * shape[1]))):
            codes_Bhw = vq.encode(pixels_BHWC)
            for pixels, codes, decoded in zip(pixels_BHWC, codes_Bhw, vq.decode(codes_Bhw), strict=True):
                details = gradient(decoded), gradient(pixels), edge_contrast(pixels, decoded), edge_contrast(pixels, pixels)
                yield Measured(codes, decoded, Scores(psnr(pixels, decoded), ssim(pixels, decoded), *details))


def psnr(a_HWC: np.ndarray, b_HWC: np.ndarray) -> float:
    """Peak signal to noise ratio in dB over all three channels of two uint8 pictures, at most MAX_PSNR.

    Raises:
        ValueError: Not uint8 [H, W, 3], or of different sizes.
    """
    _check(a_HWC, b_HWC)
    error = float(np.square(np.subtract(a_HWC, b_HWC, dtype=np.int32)).mean())
    return min(MAX_PSNR, 10 * float(np.log10(255**2 / error))) if error else MAX_PSNR


def ssim(a_HWC: np.ndarray, b_HWC: np.ndarray) -> float:
    """Structural similarity of two uint8 pictures: Gaussian window of 11 x 11 pixels, K1 0.01, K2 0.03, mean of the three channels.

    The mean is over the pixels whose window lies in the picture whole, as in the paper; torchmetrics' own mean takes the mirrored border
    in, which is up to 0.02 off.

    Raises:
        ValueError: Not uint8 [H, W, 3], of different sizes, or with a side under 11 pixels.
    """
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check(a_HWC, b_HWC)
    if min(a_HWC.shape[:2]) <= 2 * SSIM_BORDER:
        raise ValueError(f"SSIM wants sides of at least {2 * SSIM_BORDER + 1} pixels, got {a_HWC.shape}")
    a, b = (torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1), np.float32))[None] for x in (a_HWC, b_HWC))
    with torch.inference_mode():
        _, map_BCHW = structural_similarity_index_measure(a, b, sigma=SSIM_SIGMA, data_range=255.0, return_full_image=True)
    inner = slice(SSIM_BORDER, -SSIM_BORDER)
    return float(map_BCHW[..., inner, inner].mean(dtype=torch.float64))


def gradient(picture_HWC: np.ndarray) -> float:
    """Mean gradient magnitude of a uint8 picture [H, W, 3], in levels a pixel.

    Of the mean of R, G and B, by differences to the right and downwards.
    """
    return float(_gradients(picture_HWC).mean(dtype=np.float64))


def edge_contrast(original_HWC: np.ndarray, picture_HWC: np.ndarray) -> float:
    """Mean over the original's edges of the picture's largest gradient magnitude within a pixel of the edge, in levels a pixel.

    An edge is a place where the original's gradient magnitude is at least EDGE. What is added elsewhere, noise or texture, does not count:
    the mean gradient can be kept by it, this cannot.

    Returns:
        0 where the original has no edges.
    """
    is_edge_HW = _gradients(original_HWC) >= EDGE
    around_HW = np.pad(_gradients(picture_HWC), 1)
    largest_HW = sliding_window_view(around_HW, (3, 3)).max((2, 3))
    return float(largest_HW[is_edge_HW].mean(dtype=np.float64)) if is_edge_HW.any() else 0.0


def perplexity(counts_K: np.ndarray) -> float:
    """The number of equally frequent codes with as much entropy as these counts: K where all are equal, 1 where one takes all."""
    shares = counts_K[counts_K > 0] / counts_K.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def bootstrap(rows_NM: np.ndarray, seed: int, num_resamples: int = NUM_RESAMPLES) -> np.ndarray:
    """Column means of as many rows, drawn with replacement: what the means might have been with other pictures.

    Whole rows are drawn, so that a ratio of two columns can be formed of each resample. The draws depend on the seed and N alone: two
    quantizers are judged by the same resamples of the same pictures.

    Returns:
        float64 [R, M].
    """
    rng, count = np.random.default_rng(seed), len(rows_NM)
    return np.stack([rows_NM[rng.integers(count, size=count)].mean(0) for _ in range(num_resamples)])


def interval(resampled_R: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The percentiles between which `level` of the resampled values lie."""
    low, high = np.percentile(resampled_R, (50 * (1 - level), 50 * (1 + level)))
    return float(low), float(high)


def _estimate(mean: np.ndarray, resampled_R: np.ndarray, num_pictures: int) -> Estimate:
    if num_pictures < 2:  # every resample is the same: a width of 0 would claim certainty
        return Estimate(float(mean), float("nan"), float("nan"))
    return Estimate(float(mean), *interval(resampled_R))


def _ratio(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """NaN where the lower one is 0."""
    return np.divide(upper, lower, out=np.full(np.shape(lower), np.nan), where=np.asarray(lower) > 0)


def _stacked(pictures: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """[B, H, W, 3] with B at most `count`."""
    waiting: list[np.ndarray] = []
    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == count:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def _gradients(picture_HWC: np.ndarray) -> np.ndarray:
    """float32 [H - 1, W - 1]."""
    gray_HW = picture_HWC.mean(2, dtype=np.float32)
    corner = gray_HW[:-1, :-1]
    magnitudes: np.ndarray = np.hypot(gray_HW[:-1, 1:] - corner, gray_HW[1:, :-1] - corner)
    return magnitudes


def _check(a_HWC: np.ndarray, b_HWC: np.ndarray) -> None:
    if a_HWC.shape != b_HWC.shape or a_HWC.ndim != 3 or a_HWC.shape[2] != 3 or a_HWC.dtype != np.uint8 or b_HWC.dtype != np.uint8:
        found = f"{a_HWC.dtype} {a_HWC.shape} and {b_HWC.dtype} {b_HWC.shape}"
        raise ValueError(f"wants two uint8 pictures [H, W, 3] of one size, got {found}")
