"""What a training must not change on its way: a checkpoint keeps it, and another run of it is refused."""

from dataclasses import asdict
from typing import Any

from jobs.lm.options import TrainOptions
from jobs.lm.train_data import TrainData

FREE = (  # may change between runs of one training
    *("steps", "eval_every", "checkpoint_every", "keep", "async_checkpoint", "log_every"),
    *("micro_batch", "attention", "activation_checkpointing", "compile", "peak_tflops", "device", "threads"),
)


def identity(options: TrainOptions, data: TrainData, seed: int) -> dict[str, Any]:
    """What a training must not change on its way."""
    own = {f"train.{name}": value for name, value in asdict(options).items() if name not in FREE}
    return own | {"seed": seed, "vocabulary": data.vocab.fingerprint, "token shards": data.fingerprint}
