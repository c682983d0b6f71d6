"""The options of `mgpt fit-vq`, apart from the trainer, so that a recipe can be checked without torch."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import RecipeError


@dataclass(frozen=True)
class LossWeights:
    """What a reconstruction is judged by. Pixels lie in [-1, 1]."""

    l1: float = 1.0  # mean absolute error
    l2: float = 1.0  # mean squared error
    coarse: float = 1.0  # mean absolute error of the mean colour of 8 x 8 pixels
    gradient: float = 1.0  # mean absolute error of differences between neighbours, at three sizes
    energy: float = 0.5  # error of the local strength of these differences: against blur, wherever the detail lies
    commitment: float = 0.25  # pulls the encoder's vectors to their codes


@dataclass(frozen=True)
class CodebookOptions:
    """How the codebook follows the encoder."""

    decay: float = 0.99  # of the moving averages, a step
    kmeans_vectors: int = 65_536  # taken for the start, at most
    kmeans_rounds: int = 8
    revive_every: int = 50  # steps between two searches for dead codes
    dead_below: float = 0.05  # share of the mean use under which a code is dead


@dataclass(frozen=True)
class FitOptions:
    """How a VQGAN is fitted. Learning rate: a linear rise, a plateau, a linear fall to nothing over the last steps."""

    config: str  # vqgan.yaml, the network's shape
    output: str  # folder for the checkpoint, and `weights.safetensors` of the averaged network
    steps: int
    start_from: str = ""  # weights to begin with, codebook and all (vqgan.ckpt or .safetensors); empty: random ones
    seed: int = 0
    crop_sizes: tuple[int, ...] = (128,)  # pixels a side; one is drawn a step
    batch_pixels: int = 16 * 128 * 128  # a step, whatever the crop's size
    swapped_colors: float = 0.2  # share of crops whose channels change places: strong colours are rare in photographs
    plain_steps: int = 1000  # at first without the codebook, which k-means then begins; what is not learned by then, as colours, comes hard
    learning_rate: float = 1e-3
    rise_steps: int = 100
    fall_steps: int = 1000
    clip_norm: float = 1.0  # of the gradient
    average_decay: float = 0.998  # of the weights that are evaluated and written, a step
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    threads: int = 2  # that share a batch
    report_every: int = 50  # steps
    save_every: int = 500  # steps; also evaluates
    held_out_size: int = 256  # pixels a side of the held-out pictures
    losses: LossWeights = LossWeights()
    codebook: CodebookOptions = CodebookOptions()

    def __post_init__(self) -> None:
        for name in ("threads", "report_every", "save_every", "batch_pixels", "held_out_size"):
            if getattr(self, name) < 1:
                raise RecipeError(f"fit.{name}: at least 1, got {getattr(self, name)}")
        if not self.crop_sizes or min(self.crop_sizes) < 1:
            raise RecipeError(f"fit.crop_sizes: wants sizes in pixels, got {list(self.crop_sizes)}")
        for name, value in (("average_decay", self.average_decay), ("swapped_colors", self.swapped_colors)):
            if not 0 <= value <= 1:
                raise RecipeError(f"fit.{name}: lies in [0, 1], got {value}")
