"""A new language model with Chameleon's vocabulary, of the size that flags ask for: what the trainer and the sampler are measured with."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from jobs.lm.folder import read_names
from jobs.lm.model import LanguageModel, count_parameters, new_config, new_model
from jobs.lm.options import TrainOptions
from tests.token_output import TEXT_TOKENIZER_PATH
from tokenizer.text import TextTokenizer
from tokenizer.vocab import Vocab


@dataclass(frozen=True, slots=True)
class Sized:
    """A model and what belongs to it."""

    model: LanguageModel
    options: TrainOptions
    text: TextTokenizer
    names: Mapping[str, int]  # every token's id
    vocab: Vocab


def add_size_flags(parser: argparse.ArgumentParser) -> None:
    """By default 100 million parameters, two thirds of them in embedding and head."""
    parser.add_argument("--tokenizer", default=TEXT_TOKENIZER_PATH)
    parser.add_argument("--vocabulary", type=int, default=65536, help="ids of the model; Chameleon's")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as it likes")


def sized_model(args: argparse.Namespace, max_tokens: int) -> Sized:
    """Make it, float32, and say how large it is; sets torch's threads first."""
    if args.threads:
        torch.set_num_threads(args.threads)
    text, names = TextTokenizer(args.tokenizer), read_names(args.tokenizer)
    options = TrainOptions(hidden_size=args.hidden, num_layers=args.layers, num_heads=args.heads)
    vocab = replace(text.vocab, size=max(args.vocabulary, text.vocab.size))
    model = new_model(options, vocab, names, max_tokens=max_tokens, seed=0)
    total, ends = count_parameters(new_config(options, vocab, names, max_tokens))
    print(f"{total / 1e6:.0f} million parameters, {ends / 1e6:.0f} of them in embedding and head; {torch.get_num_threads()} threads")
    return Sized(model, options, text, names, vocab)
