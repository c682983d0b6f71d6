"""AdamW and its learning rate."""

import math

from torch.optim import AdamW

from jobs.lm.model import LanguageModel
from jobs.lm.options import TrainOptions


def make_optimizer(model: LanguageModel, options: TrainOptions) -> AdamW:
    """AdamW over what is trained.

    Weight decay pulls at the layers' matrices only: not at embeddings, head and norms, whose rows would fade where a token is rare, and not
    at LoRA's, which are small by themselves.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in trained if name.endswith("proj.weight")]
    rest = [parameter for name, parameter in trained if not name.endswith("proj.weight")]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return AdamW([group for group in groups if group["params"]], lr=options.learning_rate, betas=(options.beta1, options.beta2), fused=True)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Of a step, counted from 0."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    if options.schedule == "constant":
        return options.learning_rate
    done = (step - options.warmup) / max(options.steps - options.warmup, 1)
    share = options.final_fraction + (1 - options.final_fraction) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return options.learning_rate * share
