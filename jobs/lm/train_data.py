"""What a training reads: which sequences, in which windows."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from jobs.lm.batches import BatchMaker
from jobs.lm.held_out import split_held_out
from jobs.lm.mixture import make_mixture
from jobs.lm.options import TrainOptions
from jobs.lm.plan import PLAN_VERSION, PLANS_FOLDER, Plan, Window
from pipeline import paths
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
    num_dropped: int  # sequences that are longer than the window
    plan: Plan  # over `trained_on`
    held_out_windows: tuple[Window, ...]  # over `held_out`
    context_drop: float
    seed: int

    @property
    def fingerprint(self) -> str:
        """sha256 over the shards' checksums."""
        return hashlib.sha256(_checksums(self.shards).encode()).hexdigest()

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
    lengths = shards.index["tokens"].combine_chunks().to_numpy()
    if not len(lengths):
        raise RecipeError(f"{output}: the token shards are empty, there is nothing to train on")
    trained_on, held_out = split_held_out(shards, options.held_out_fraction, seed)
    if options.held_out_fraction and not len(held_out):
        raise RecipeError(f"train.held_out_fraction: {options.held_out_fraction} of {len(lengths)} sequences leaves none to evaluate")
    num_dropped = 0
    if options.drop_longer and options.window:
        kept = [numbers[lengths[numbers] <= options.window] for numbers in (trained_on, held_out)]
        num_dropped = len(lengths) - sum(map(len, kept))
        trained_on, held_out = kept
    index = shards.index["task"].combine_chunks()
    names, tasks = tuple(index.dictionary.to_pylist()), index.indices.to_numpy()
    window = options.window or int(lengths.max())
    plan = Plan(
        lengths[trained_on],
        window,
        options.batch_size,
        seed,
        mixture=make_mixture(options, lengths[trained_on], tasks[trained_on], names, seed),
        folder=paths.join(output, "train", PLANS_FOLDER),
        fingerprint=_plan_fingerprint(shards, options, window, seed),
    )
    held_out_windows = tuple(Plan(lengths[held_out], window, options.batch_size, seed).windows(0)) if len(held_out) else ()
    return TrainData(
        shards=shards,
        vocab=vocab,
        trained_on=trained_on,
        held_out=held_out,
        num_dropped=num_dropped,
        plan=plan,
        held_out_windows=held_out_windows,
        context_drop=options.context_drop,
        seed=seed,
    )


def _plan_fingerprint(shards: TokenShards, options: TrainOptions, window: int, seed: int) -> str:
    """Of all that the windows of an epoch depend on."""
    asked = {name: getattr(options, name) for name in ("held_out_fraction", "drop_longer", "mixture", "mixture_by", "epoch_size")}
    said = json.dumps([PLAN_VERSION, shards.manifest.index.sha256, window, seed, asked], sort_keys=True)
    return hashlib.sha256((said + _checksums(shards)).encode()).hexdigest()[:16]


def _checksums(shards: TokenShards) -> str:
    return "".join(entry.sha256 for entry in shards.manifest.shards)
