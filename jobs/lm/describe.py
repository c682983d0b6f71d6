"""What a training will be, in words."""

from jobs.lm.folder import read_names
from jobs.lm.model import count_parameters, new_config
from jobs.lm.options import TrainOptions
from jobs.lm.plan_table import describe_draw
from jobs.lm.train_data import TrainData

TRAINED = {"full": "", "head_rows": ", the head's image rows are trained", "lora": ", LoRA of rank {rank} is trained"}


def describe(data: TrainData, options: TrainOptions, max_tokens: int) -> str:
    """Nothing is allocated.

    Args:
        max_tokens: The longest sequence that a new model shall ever see.
    """
    plan = data.plan
    windows = plan.num_windows(0)
    if options.init:
        size = f"from {options.init}" + TRAINED[options.mode].format(rank=options.lora_rank)
    else:
        total, ends = count_parameters(new_config(options, data.vocab, read_names(data.shards.text_tokenizer), max_tokens))
        size = f"new, {total:,} parameters, {ends:,} of them in embedding and head"
    held_out = f", {len(data.held_out)} held out" if len(data.held_out) else ""
    return "\n".join(
        [
            f"model       {size}",
            f"sequences   {len(data.trained_on)} with {int(plan.lengths.sum()):,} tokens{held_out}",
            *describe_draw(data),
            f"windows     {windows} of {plan.window} tokens an epoch, {plan.padding(0):.1%} padding",
            f"steps       {options.steps} of {options.batch_size} windows, {options.batch_size * plan.window:,} tokens each",
            f"epochs      {options.steps * options.batch_size / windows:.1f}",
        ]
    )
