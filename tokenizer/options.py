"""The `[tokens]` table of a recipe. Loads no library: a recipe is checked on a login node."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import RecipeError
from pipeline.paths import join
from tokenizer.layout import PIXELS_PER_GRID

BUNDLED_TEXT_TOKENIZER = join(__file__.replace("\\", "/").rsplit("/", 1)[0], "bundled", "text_tokenizer.json")


@dataclass(frozen=True)
class TokenOptions:
    """How samples become token sequences."""

    target_size: int = 512  # pixels: buckets have about the area of this square; 512, 768, 1024 are the paper's stages
    smaller_targets: tuple[int, ...] = ()  # pixels: a picture that target_size would enlarge goes to the largest of these that does not
    max_tokens: int = 8192  # a longer sequence is dropped and counted, never cut
    text: str = ""  # text_tokenizer.json in Chameleon's layout; empty takes the bundled one
    vq: dict[str, Any] = field(
        default_factory=lambda: {"kind": "chameleon"}
    )  # kind and its options; without config and weights the bundled ones
    crop: Literal["center", "random"] = "center"  # where the cut lies; random is seeded by the sample's key
    captions: dict[str, float] = field(
        default_factory=lambda: {"original": 0.5, "generated": 0.5}
    )  # shares: of the source's caption, of any captioner's, or by a captioner's name; where the drawn one is missing another is used
    min_caption_score: float = -1.0  # cosine by CLIP below which a generated caption is not used; without [clip] it has no score, and is
    mixture: Literal["drawn", "planned"] = "drawn"  # drawn: each sample draws its tasks for itself; planned: shares hold over the whole run
    weights_count: Literal["samples", "tokens"] = "samples"  # whether task weights are shares of the sequences or of their tokens
    max_repeats: int = 4  # of a planned mixture: how often one sample may feed one task where few can feed it
    stored_depth: Literal["nearness", "distance"] = "nearness"  # what grows in depth maps; a sample's metadata "depth_stored" wins
    keep_metadata: tuple[str, ...] = ()  # names in a sample's metadata that are stored beside its tokens
    batch_pixels: int = 2_097_152  # pixels that are encoded at once: eight pictures of 512 x 512
    waiting_pixels: int = 67_108_864  # pixels a worker holds back for full batches: 192 MiB of RGB
    shard_bytes: int = 268_435_456  # a token shard is closed at this size

    def __post_init__(self) -> None:
        for name, size in (("target_size", self.target_size), *(("smaller_targets", size) for size in self.smaller_targets)):
            if size <= 0 or size % PIXELS_PER_GRID:
                raise RecipeError(f"tokens.{name}: a positive multiple of {PIXELS_PER_GRID} is wanted, got {size}")
        if any(not 0 <= weight < math.inf for weight in self.captions.values()) or not sum(self.captions.values()) > 0:
            raise RecipeError(f"tokens.captions: shares of at least 0, one of them above it, are wanted; got {self.captions}")
        if not -1 <= self.min_caption_score <= 1:
            raise RecipeError(f"tokens.min_caption_score: a cosine lies on a scale from -1 to 1, and {self.min_caption_score:g} is off it")
        if not 1 <= self.max_repeats <= 255:
            raise RecipeError(f"tokens.max_repeats: 1 to 255 are wanted, got {self.max_repeats}")
        for name in ("max_tokens", "batch_pixels", "waiting_pixels", "shard_bytes"):
            if getattr(self, name) <= 0:
                raise RecipeError(f"tokens.{name}: must be above 0, got {getattr(self, name)}")

    @property
    def text_path(self) -> str:
        return self.text or BUNDLED_TEXT_TOKENIZER
