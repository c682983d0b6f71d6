"""A new model's rows for image codes, in embedding and head, begun from the VQ's own vectors: codes that look alike begin alike.

    row of a code  =  drawn row  +  strength * P v      v: its vector in the VQ, [E], centred and of unit variance; P: [D, E], drawn

Without it every code begins as a stranger to all others, and each has to be met often. On 40,000 drawn scenes of 36 codes (4 layers, 128
channels, 2,000 tokens a step) the loss had come to 4.6 after 100 steps instead of 5.7.

Shapes: K codes, E dimensions of their vectors, D hidden size.
"""

import torch
from torch import Tensor

from jobs.lm.model import LanguageModel

EMBEDDING, HEAD = 0.1, 0.05  # strengths, against 0.02 of what is drawn; no others were tried


def start_from_vectors(model: LanguageModel, ids_K: Tensor, vectors_KE: Tensor, seed: int) -> None:
    """Add the vectors to the rows of a new model.

    Args:
        ids_K: int64, the token of each code.
    """
    centred = vectors_KE.float() - vectors_KE.float().mean(0)
    spread = centred / centred.std()
    generator = torch.Generator().manual_seed(seed)
    num_dimensions, hidden_size = vectors_KE.shape[1], model.config.hidden_size
    ends = [(model.model.embed_tokens.weight, EMBEDDING), (model.lm_head.weight, HEAD)]
    with torch.no_grad():
        for weight, strength in ends[: 1 if model.config.tie_word_embeddings else 2]:
            projection = torch.randn(num_dimensions, hidden_size, generator=generator) / num_dimensions**0.5
            weight[ids_K] += strength * spread @ projection
