"""What a training reads: which sequences, in which windows."""

import hashlib
from dataclasses import dataclass

import numpy as np

from jobs.lm.batches import BatchMaker, split_held_out
from jobs.lm.options import TrainOptions
from jobs.lm.plan import Plan, Window
from pipeline.errors import RecipeError, VerificationError
from pipeline.shards.reader import TokenShards
from tokenizer.vocab import Vocab, load_vocab


@dataclass(frozen=True)
class TrainData:
    """Token shards, divided and planned."""

    shards: TokenShards
    vocab: Vocab
    trained_on: np.ndarray  # numbers of sequences
    held_out: np.ndarray  # numbers of sequences; may be none
    plan: Plan  # over `trained_on`
    held_out_windows: tuple[Window, ...]  # over `held_out`
    context_drop: float
    seed: int

    @property
    def fingerprint(self) -> str:
        """sha256 over the shards' checksums."""
        return hashlib.sha256("".join(entry.sha256 for entry in self.shards.manifest.shards).encode()).hexdigest()

    def maker(self) -> BatchMaker:
        """Of batches to train on."""
        return BatchMaker(self.shards, self.trained_on, self.plan.window, self.context_drop, self.seed)

    def held_out_maker(self) -> BatchMaker:
        """Of batches to evaluate: nothing is dropped."""
        return BatchMaker(self.shards, self.held_out, self.plan.window, 0.0, self.seed)


def open_data(output: str, options: TrainOptions, seed: int) -> TrainData:
    """The data of an output.

    Raises:
        RecipeError: There are no token shards, none to train on, or a sequence is longer than the window.
        VerificationError: The vocabulary that lies beside the shards is not theirs.
    """
    shards = TokenShards(output)
    vocab = load_vocab(shards.text_tokenizer)
    if vocab.fingerprint != shards.manifest.vocabulary["fingerprint"]:
        raise VerificationError(f"{shards.text_tokenizer}: not the vocabulary that the manifest names")
    lengths = shards.index["tokens"].to_numpy().astype(np.int64)
    if not len(lengths):
        raise RecipeError(f"{output}: the token shards are empty, there is nothing to train on")
    trained_on, held_out = split_held_out(shards, options.held_out_fraction, seed)
    if options.held_out_fraction and not len(held_out):
        raise RecipeError(f"train.held_out_fraction: {options.held_out_fraction} of {len(lengths)} sequences leaves none to evaluate")
    window = options.window or int(lengths.max())
    plan = Plan(lengths[trained_on], window, options.batch_size, seed)
    held_out_windows = tuple(Plan(lengths[held_out], window, options.batch_size, seed).windows(0)) if len(held_out) else ()
    return TrainData(shards, vocab, trained_on, held_out, plan, held_out_windows, options.context_drop, seed)
