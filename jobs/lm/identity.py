"""What a training must not change on its way: a checkpoint keeps it, and another run of it is refused."""

from dataclasses import asdict
from typing import Any

from jobs.lm.options import TrainOptions
from jobs.lm.train_data import TrainData

FREE = (  # may change between runs of one training
    *("steps", "eval_every", "checkpoint_every", "keep", "async_checkpoint", "log_every", "grid_every", "grid_count", "tensorboard"),
    *("micro_batch", "attention", "processes", "activation_checkpointing", "compile", "peak_tflops", "device", "threads"),
)
START = "train.init"  # by the weights, not by the path: a folder may move


def identity(options: TrainOptions, data: TrainData, seed: int, start: str) -> dict[str, Any]:
    """What a training must not change on its way.

    Args:
        start: Fingerprint of the model that it began from; empty for a new one.
    """
    own = {f"train.{name}": value for name, value in asdict(options).items() if name not in FREE}
    return own | {START: start, "seed": seed, "vocabulary": data.vocab.fingerprint, "token shards": data.fingerprint}
