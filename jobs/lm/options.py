"""The `[train]` and `[sample]` tables of a recipe. Loads no library: a recipe is checked on a login node."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import RecipeError
from tokenizer.layout import PIXELS_PER_GRID
from tokenizer.vocab import MAX_SIZE_GRIDS

AUTO_SIZE = "auto"


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained from token shards. The paper's settings are for 7 billion parameters, fine-tuned from Chameleon."""

    processes: int = (
        0  # by Ray Train, on the cluster at run.address, with a GPU each where it has any; 0: as it was started, alone or by torchrun
    )
    init: str = ""  # a model folder in transformers' form to start from, or an OUTPUT/train: its last checkpoint; empty makes a new model
    mode: Literal["full", "head_rows", "lora"] = "full"  # what is trained; weights that are not are kept in `dtype`
    # head_rows: the head's rows of the ids that stand in images, as Anole; lora: small matrices beside those of the layers, by peft
    lora_rank: int = 16  # of mode lora
    lora_alpha: float = 32.0  # of mode lora: what the small matrices add counts alpha / rank
    lora_dropout: float = 0.0  # of mode lora: of what goes into the small matrices, in [0, 1)
    hidden_size: int = 256  # of a new model
    num_layers: int = 6  # of a new model
    num_heads: int = 4  # of a new model; they share hidden_size
    intermediate_size: int = 0  # of a new model's MLP; 0 takes 8/3 of hidden_size, rounded up to a multiple of 32
    swin_norm: bool = False  # of a new model: norms behind attention and MLP, as in Chameleon 34B
    code_rows: Literal["drawn", "vq"] = "drawn"  # of a new model, for image codes; vq: begun from the VQ's vectors, learns in fewer steps
    steps: int = 1000  # optimizer steps in all
    batch_size: int = 32  # windows a step, over all processes
    micro_batch: int = 0  # windows that one process computes at once, their gradients add up; 0: all of its part
    window: int = 0  # tokens of a window; whole sequences are packed into it, none is cut; 0 takes the longest sequence
    drop_longer: bool = False  # sequences that are longer than the window are left out, and counted; else they are refused
    mixture: dict[str, float] = field(default_factory=dict)  # by task; empty takes every sequence in each epoch once
    # each: how often an epoch takes each sequence of a task: 2 repeats, 0.25 takes a quarter, another one each time; 1 where left out
    # samples, tokens: shares of an epoch's sequences or tokens, one for every task; they need not add up to 1
    mixture_by: Literal["each", "samples", "tokens"] = "each"
    epoch_size: int = 0  # of shares: sequences or tokens of an epoch; 0 takes as many as the tasks with a share hold
    learning_rate: float = 1e-3  # for a small model from scratch; the paper's 2e-5 is for fine-tuning the 7B
    warmup: int = 20  # steps of linear rise
    schedule: Literal["constant", "cosine"] = "cosine"  # after the warm-up; the paper's is constant
    final_fraction: float = 0.1  # of learning_rate, where the cosine ends
    weight_decay: float = 0.1  # of matrices; embeddings, head and norms have none
    beta1: float = 0.9  # of AdamW
    beta2: float = 0.95  # of AdamW
    grad_clip: float = 1.0  # norm of the gradient; the paper's trainer has 4.0
    z_loss: float = 1e-5  # weight of the mean squared log-partition
    dropout: float = 0.0  # of both residual branches of a layer, in [0, 1); the paper's is 0.05
    task_weights: dict[str, float] = field(default_factory=dict)  # what a loss token counts, by task; 1 where a task is not named
    context_drop: float = 0.1  # share of single-image text-to-image sequences trained without their prompt, for guidance
    restrict_image_logits: bool = (
        False  # inside images the softmax runs over image ids alone, as the sampler's: far cheaper for a small model
    )
    held_out_fraction: float = 0.0  # share of samples, by key, that are not trained on but evaluated
    eval_every: int = 200  # steps between held-out losses
    checkpoint_every: int = 500  # steps
    keep: int = 2  # checkpoints that stay, the newest
    async_checkpoint: bool = True  # write to the disk while the training goes on; needs memory for one copy of weights and moments
    log_every: int = 10  # steps between lines of log.jsonl
    grid_every: int = 0  # steps between grids of pictures sampled for held-out captions, OUTPUT/train/grids; 0: none
    grid_count: int = 8  # pictures of a grid
    tensorboard: bool = False  # the log and the grids for TensorBoard, too, in OUTPUT/train/tensorboard
    attention: Literal["auto", "split", "flex", "sdpa"] = "auto"  # how a window's sequences are kept apart
    # split: one after the other; flex: by blocks, on GPUs alone; sdpa: by a mask of window x window. auto: flex on GPUs, else split
    activation_checkpointing: bool = False  # a layer's activations are computed again instead of kept: less memory, a third more work
    compile: bool = False  # torch.compile, layer by layer; takes a minute or more at the start
    peak_tflops: float = 0.0  # of one device, for the MFU in the log; 0 looks the GPU up, and an unknown one has no MFU
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the arithmetic; weights and optimizer are float32
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    threads: int = 0  # of the CPU; 0 leaves it to torch. The same number gives the same bits

    def __post_init__(self) -> None:
        positive = ("hidden_size", "num_layers", "num_heads", "steps", "batch_size", "eval_every", "checkpoint_every", "keep", "log_every")
        for name in (*positive, "lora_rank", "lora_alpha", "grid_count"):
            _check(getattr(self, name) > 0, f"train.{name}", "above 0", getattr(self, name))
        for name in (
            "intermediate_size",
            "window",
            "micro_batch",
            "warmup",
            "weight_decay",
            "z_loss",
            "threads",
            "peak_tflops",
            "epoch_size",
            "grid_every",
            "processes",
        ):
            _check(getattr(self, name) >= 0, f"train.{name}", "0 or more", getattr(self, name))
        for name in ("learning_rate", "grad_clip"):
            _check(getattr(self, name) > 0, f"train.{name}", "above 0", getattr(self, name))
        for name in ("beta1", "beta2", "dropout", "lora_dropout", "held_out_fraction"):
            _check(0 <= getattr(self, name) < 1, f"train.{name}", "at least 0 and below 1", getattr(self, name))
        for name in ("final_fraction", "context_drop"):
            _check(0 <= getattr(self, name) <= 1, f"train.{name}", "from 0 to 1", getattr(self, name))
        if self.mode != "full":
            _check(bool(self.init), "train.init", f'a model folder for train.mode = "{self.mode}"', self.init)
        for task, weight in self.task_weights.items():
            _check(weight >= 0, f"train.task_weights.{task}", "0 or more", weight)
        for task, weight in self.mixture.items():
            _check(weight >= 0, f"train.mixture.{task}", "0 or more", weight)
        if self.mixture_by == "each":
            _check(self.epoch_size == 0, "train.epoch_size", 'train.mixture_by = "samples" or "tokens"', self.epoch_size)
        else:
            _check(any(self.mixture.values()), "train.mixture", f"a share by {self.mixture_by} of each task", self.mixture)
        _check(not self.init or self.code_rows == "drawn", "train.code_rows", '"drawn" with a model to start from', self.code_rows)
        divides = self.hidden_size % (2 * self.num_heads) == 0
        _check(divides, "train.hidden_size", f"an even number for each of {self.num_heads} heads", self.hidden_size)


@dataclass(frozen=True)
class SampleOptions:
    """How pictures are sampled."""

    prompts: tuple[str, ...] = ()  # captions; the words around them are the text-to-image task's
    prompts_file: str = ""  # more of them: .txt one a line, .json or .jsonl with settings of their own
    conversations_file: str = ""  # dialogues whose next answer is asked for, in the form of the source `conversations`
    answer: Literal["image", "text", "free"] = "image"  # pictures alone, text alone, or what the model likes
    num_images: int = 1  # in an answer of pictures; in a free one, at most
    size: str = "512x512"  # width x height in pixels, multiples of 32; "auto": the model chooses. With pictures: as large as the last one
    num_per_prompt: int = 1  # answers to each prompt
    guidance: float = 4.0  # weight of the prompt over no prompt; 1 is without guidance and half the work
    image_guidance: float | None = None  # weight of a dialogue's pictures over none, apart from its text; half again the work
    temperature: float = 1.0
    image_top_k: int = 2000  # codes among which one is drawn
    text_top_k: int = 5  # text ids among which one is drawn
    max_text_tokens: int = 512  # an answer in text ends there
    seed: int | None = None  # of the noise; left out: the recipe's. A picture depends on it and its own number, not on its batch
    batch_size: int = 8  # pictures at once
    jacobi_window: int = 0  # codes guessed and checked in one pass, to the same result; slower on a CPU; 0: off
    compile: bool = False  # torch.compile for the decoder's steps, as CUDA graphs on a GPU; takes minutes at the start
    checkpoint: str = ""  # a model folder; empty takes the run's own last checkpoint
    dtype: Literal["float32", "bfloat16"] = "float32"  # of weights and arithmetic
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    actors: int = 0  # Ray actors that share the prompts, each with a GPU where there are any; 0: this process
    write_tokens: bool = True  # the answers as token shards beside the pictures, for the trainer and `mgpt inspect`

    def __post_init__(self) -> None:
        for name in ("num_per_prompt", "num_images", "image_top_k", "text_top_k", "max_text_tokens", "batch_size", "temperature"):
            _check(getattr(self, name) > 0, f"sample.{name}", "above 0", getattr(self, name))
        for name in ("guidance", "image_guidance", "jacobi_window", "actors"):
            _check((getattr(self, name) or 0) >= 0, f"sample.{name}", "0 or more", getattr(self, name))
        _check(self.seed is None or self.seed >= 0, "sample.seed", "0 or more", self.seed)
        _check(all(prompt.strip() for prompt in self.prompts), "sample.prompts", "texts that are not empty", self.prompts)
        if self.size != AUTO_SIZE:
            parse_size(self.size)

    @property
    def width_height(self) -> tuple[int, int] | None:
        """Pixels; None leaves them to the model."""
        return None if self.size == AUTO_SIZE else parse_size(self.size)


def parse_size(size: str) -> tuple[int, int]:
    """Width and height in pixels of "WxH".

    Raises:
        RecipeError: It is no such text, or a side is no multiple of 32 pixels or has no size token.
    """
    sides = size.split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise RecipeError(f'sample.size: width x height is wanted, as in "512x768", got {size!r}')
    width, height = map(int, sides)
    for side in (width, height):
        if side == 0 or side % PIXELS_PER_GRID or side // PIXELS_PER_GRID > MAX_SIZE_GRIDS:
            limit = PIXELS_PER_GRID * MAX_SIZE_GRIDS
            raise RecipeError(f"sample.size: sides are multiples of {PIXELS_PER_GRID} pixels up to {limit}, got {size!r}")
    return width, height


def _check(holds: bool, where: str, wanted: str, got: object) -> None:
    if not holds:
        raise RecipeError(f"{where}: {wanted} is wanted, got {got!r}")
