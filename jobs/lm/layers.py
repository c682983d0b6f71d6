"""How the layers of a model are run while it trains: activations computed twice instead of kept, compiled."""

from functools import partial

from torch.utils.checkpoint import checkpoint

from jobs.lm.model import LanguageModel


def recompute_activations(model: LanguageModel) -> None:
    """Keep only what goes into each layer, and compute the rest again in the backward: about a third more work, far less memory."""
    for layer in model.model.layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def compile_layers(model: LanguageModel) -> None:
    """Compile each layer by itself: they are alike, so one compilation serves all. Windows have one length, so shapes are static."""
    for layer in model.model.layers:
        layer.compile(dynamic=False)
