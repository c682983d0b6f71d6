"""The options of `mgpt fit-vq`, apart from the trainer, so that a recipe can be checked without torch."""

import re
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import RecipeError

SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


@dataclass(frozen=True)
class LossWeights:
    """What a reconstruction is judged by without another network. Pixels lie in [-1, 1]."""

    l1: float = 1.0  # mean absolute error
    l2: float = 1.0  # mean squared error
    coarse: float = 1.0  # mean absolute error of the mean colour of 8 x 8 pixels
    gradient: float = 1.0  # mean absolute error of differences between neighbours, at three sizes
    energy: float = 0.5  # error of the local strength of these differences: against blur, wherever the detail lies
    commitment: float = 0.25  # pulls the encoder's vectors to their codes


@dataclass(frozen=True)
class PerceptualOptions:
    """The perceptual term: a distance in the features of a trained network. Off by default, because it needs weights that do not ship."""

    kind: Literal["off", "features", "lpips"] = (
        "off"  # features: any network of timm; lpips: torchmetrics' LPIPS with torchvision's weights
    )
    model: str = ""  # features: as timm.create_model takes it ("local-dir:FOLDER", "vgg16.tv_in1k"); lpips: "alex", "vgg" or "squeeze"
    out_indices: tuple[int, ...] = (0, 1, 2)  # features: the stages that are compared
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.kind == "features" and not self.model:
            raise RecipeError("fit.perceptual.model: kind 'features' wants a network, as in 'local-dir:FOLDER'")
        if self.kind == "lpips" and self.model not in ("alex", "vgg", "squeeze"):
            raise RecipeError(f"fit.perceptual.model: kind 'lpips' has 'alex', 'vgg' and 'squeeze', got {self.model!r}")
        if not self.out_indices or min(self.out_indices) < 0:
            raise RecipeError(f"fit.perceptual.out_indices: wants stages from 0, got {list(self.out_indices)}")


@dataclass(frozen=True)
class AdversarialOptions:
    """The adversarial term: a discriminator that learns to tell decoded pictures from real ones. Off by default."""

    kind: Literal["off", "pixels", "features", "both"] = "off"  # pixels: judges patches; features: judges what the perceptual network sees
    weight: float = 0.5  # 1: it pulls as strong as all other terms together
    from_step: int = 0  # the discriminator begins to learn here
    rise_steps: int = 500  # from there until the term has its full weight
    learning_rate: float = 4e-4  # of the discriminator; falls as that of the network does
    channels: int = 64  # of its first layer


@dataclass(frozen=True)
class TeacherOptions:
    """A trained network whose encoder is imitated: the short way to a smaller encoder below a codebook that stays. Off by default."""

    config: str = ""  # its vqgan.yaml; empty together with `weights`: no teacher
    weights: str = ""  # its vqgan.ckpt or .safetensors
    weight: float = 1.0  # of the mean squared distance between both encoders' vectors, as a share of the variance of the teacher's

    def __post_init__(self) -> None:
        if bool(self.config) != bool(self.weights):
            raise RecipeError(f"fit.teacher.{'weights' if self.config else 'config'}: config and weights belong together")


@dataclass(frozen=True)
class CodebookOptions:
    """How the codebook follows the encoder."""

    update: Literal["average", "gradient"] = "average"  # moving averages, or the optimizer with a loss of its own
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
    begin_anew: tuple[str, ...] = ()  # parts that `start_from` need not have and that begin at random: "encoder", "decoder.mid"
    learns: Literal["all", "encoder", "decoder"] = "all"  # the rest, the codebook with it, stays as it is
    seed: int = 0
    crop_sizes: tuple[str, ...] = ("128x128",)  # WIDTHxHEIGHT in pixels; one is drawn a step
    batch_pixels: int = 16 * 128 * 128  # a step over all ranks, whatever the crop's size
    swapped_colors: float = 0.2  # share of crops whose channels change places: strong colours are rare in photographs
    jitter: float = 0.0  # largest change of a crop's brightness and contrast, as a share
    plain_steps: int = 1000  # of an encoder that begins anew, without the codebook; what is not learned by then, as colours, comes hard
    learning_rate: float = 1e-3
    rise_steps: int = 100
    fall_steps: int = 1000
    clip_norm: float = 1.0  # of the gradient
    average_decay: float = 0.998  # of the weights that are evaluated and written, a step
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    threads: int = 2  # that share a batch on a CPU
    feeders: int = 1  # threads that cut crops ahead of the step
    report_every: int = 50  # steps
    save_every: int = 500  # steps; also evaluates
    held_out_size: int = 256  # pixels a side of the held-out pictures
    losses: LossWeights = LossWeights()
    perceptual: PerceptualOptions = PerceptualOptions()
    adversarial: AdversarialOptions = AdversarialOptions()
    teacher: TeacherOptions = TeacherOptions()
    codebook: CodebookOptions = CodebookOptions()

    def __post_init__(self) -> None:
        for name in ("threads", "feeders", "report_every", "save_every", "batch_pixels", "held_out_size"):
            if getattr(self, name) < 1:
                raise RecipeError(f"fit.{name}: at least 1, got {getattr(self, name)}")
        if not self.crop_sizes or not all(SIZE.fullmatch(size) for size in self.crop_sizes):
            raise RecipeError(f"fit.crop_sizes: wants sizes as '128x128', got {list(self.crop_sizes)}")
        for name in ("average_decay", "swapped_colors", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"fit.{name}: lies in [0, 1], got {getattr(self, name)}")
        if self.begin_anew and not self.start_from:
            raise RecipeError("fit.begin_anew: says what start_from need not have, and there is no start_from")
        if self.learns != "all" and not self.start_from:
            raise RecipeError(f"fit.learns: only the {self.learns} is to learn, so start_from must give the rest")
        if self.adversarial.kind in ("features", "both") and self.perceptual.kind != "features":
            wanted = "the features are those of fit.perceptual, whose kind must be 'features' too"
            raise RecipeError(f"fit.adversarial.kind: '{self.adversarial.kind}': {wanted}")
        if not self.judges_pictures and not self.teacher.weights:
            raise RecipeError("fit.losses: nothing judges the pictures, and there is no fit.teacher: nothing would be learned")
        if not self.judges_pictures and self.learns != "encoder":
            raise RecipeError("fit.learns: nothing judges the pictures, and of a teacher only the encoder learns: wants 'encoder'")

    @property
    def judges_pictures(self) -> bool:
        """Some term looks at decoded pictures; otherwise nothing is decoded, which saves most of a step."""
        pixels = any(weight for name, weight in vars(self.losses).items() if name != "commitment")
        return pixels or self.perceptual.kind != "off" or self.adversarial.kind != "off"

    @property
    def encoder_is_given(self) -> bool:
        """The encoder speaks the codebook's language from the first step."""
        return bool(self.start_from) and not any(self._anew(part) for part in ("encoder", "quant_conv", "quantize"))

    @property
    def codebook_is_given(self) -> bool:
        """No k-means is wanted."""
        return bool(self.start_from) and not self._anew("quantize")

    def _anew(self, part: str) -> bool:
        return any(part.startswith(name) or name.startswith(f"{part}.") for name in self.begin_anew)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of the crops."""
        return tuple((int(width), int(height)) for width, height in (size.split("x") for size in self.crop_sizes))

    def crops_a_step(self, size: tuple[int, int]) -> int:
        """Crops of (width, height) in a batch."""
        return max(1, self.batch_pixels // (size[0] * size[1]))
