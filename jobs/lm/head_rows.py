"""Mode head_rows: all is frozen but the head's rows of the ids that stand in images.

    lm_head   . . . . I I I I I . . .        I: also in `HeadRows.weight`, float32, where they are trained; written back after each step

Nothing flows back through the layers, and gradients and moments exist for these rows alone: a step is little more than a forward. On many
ranks the layers are sharded, and each rank holds all of the rows.

Source: Anole (arXiv 2407.06135), which teaches Chameleon to draw this way.
"""

import torch
from torch import Tensor, nn

from jobs.lm.loss import image_token_ids
from jobs.lm.model import LanguageModel
from jobs.lm.parallel import own_rows, release, whole
from pipeline.errors import RecipeError
from tokenizer.vocab import Vocab

HEAD_ROWS = "head_rows"  # the name of the module in a model, and of its weight's file in a checkpoint


class HeadRows(nn.Module):
    """Some rows of a head, to be trained.

    Args:
        ids_L: Their ids.
        weight_LD: Their values.
    """

    def __init__(self, ids_L: Tensor, weight_LD: Tensor):
        super().__init__()
        self.ids_L = ids_L
        self.weight = nn.Parameter(weight_LD)

    @torch.no_grad()
    def write_back(self, model: LanguageModel) -> None:
        """Put the rows into the head, in the head's number type."""
        release(model)
        rows, local = own_rows(model.lm_head.weight)
        places_L = self.ids_L - (rows.start or 0)
        here_L = (places_L >= 0) & (places_L < len(local))
        local[places_L[here_L]] = self.weight[here_L].to(local.dtype)


def add_head_rows(model: LanguageModel, vocab: Vocab) -> None:
    """Freeze a model but for the head's image rows.

    Raises:
        RecipeError: Head and embedding are one matrix.
    """
    if model.config.tie_word_embeddings:
        raise RecipeError("train.mode: head_rows wants a head of its own, and this model's head is its embedding")
    model.requires_grad_(False)
    ids_L = image_token_ids(vocab.codes, vocab.sizes, vocab.end_of_row, vocab.end_of_image).to(model.device)
    model.add_module(HEAD_ROWS, HeadRows(ids_L, whole(model.lm_head.weight.detach())[ids_L].float()))


def learned_rows(model: LanguageModel) -> tuple[Tensor, Tensor] | None:
    """As `batch_loss` takes them."""
    rows = head_rows_of(model)
    return (rows.ids_L, rows.weight) if rows is not None else None


def head_rows_of(model: LanguageModel) -> HeadRows | None:
    """Those that are trained, where only they are."""
    rows = getattr(model, HEAD_ROWS, None)
    return rows if isinstance(rows, HeadRows) else None
