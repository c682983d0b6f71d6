"""The model: transformers' Chameleon backbone with our own head.

transformers' own `forward` masks image ids, so that a loss on them is infinite, and its VQ network is not needed to train on tokens:
only the backbone is used, without the VQ.

Shapes: B rows, T tokens, K tokens in the cache, D hidden size, V vocabulary.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import Cache, ChameleonConfig, ChameleonModel, ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonLayerNorm, ChameleonRMSNorm, ChameleonRotaryEmbedding

from jobs.lm.options import TrainOptions
from tokenizer.vocab import Vocab

IMAGE_PLACEHOLDER = "<image>"  # what transformers calls the token that stands for an image in a text; Chameleon's <reserved08707>
PLACEHOLDER_NAME = "<reserved08707>"
TINY_VQ = {"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "embed_dim": 32, "latent_channels": 32}
WIDTH_MULTIPLE = 32  # of a new model's MLP


class LanguageModel(nn.Module):
    """Token ids to hidden states; `lm_head.weight` [V, D] makes logits of them where they are needed.

    Parameters have the names that they have in `ChameleonForConditionalGeneration`.

    Args:
        config: Of the whole Chameleon, with the VQ that belongs to it.
    """

    def __init__(self, config: ChameleonConfig):
        super().__init__()
        backbone = copy.deepcopy(config)
        backbone.vq_config = ChameleonVQVAEConfig.from_dict(TINY_VQ)  # the real one may have 70 million parameters, only to be thrown away
        self.model = ChameleonModel._from_config(backbone, attn_implementation="sdpa")
        del self.model.vqmodel
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.config = config
        self.tie()

    def tie(self) -> None:
        """Make head and embedding one matrix, where the configuration says so."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(
        self, ids_BT: Tensor, position_ids_BT: Tensor, mask_B1TK: Tensor | BlockMask | None = None, cache: Cache | None = None
    ) -> Tensor:
        """Hidden states behind the last norm.

        Args:
            mask_B1TK: bool, true where a token sees another, or blocks of that; None: each row is one sequence and sees what lies before.
            cache: Keys and values of the tokens before; taken further.

        Returns:
            [B, T, D].
        """
        hidden: Tensor = self.model(
            input_ids=ids_BT, position_ids=position_ids_BT, attention_mask=mask_B1TK, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        return hidden

    @property
    def device(self) -> torch.device:
        return self.lm_head.weight.device


def new_model(options: TrainOptions, vocab: Vocab, names: Mapping[str, int], *, max_tokens: int, seed: int) -> LanguageModel:
    """A model with weights drawn from `seed`, float32 on the CPU.

    Args:
        names: Every token's id by its name.
        max_tokens: The longest sequence that it shall see.
    """
    model = empty_model(new_config(options, vocab, names, max_tokens))
    draw_weights(model, torch.Generator().manual_seed(seed))
    return model


def new_config(options: TrainOptions, vocab: Vocab, names: Mapping[str, int], max_tokens: int) -> ChameleonConfig:
    """The configuration of a new model."""
    width = options.intermediate_size or -(-options.hidden_size * 8 // (3 * WIDTH_MULTIPLE)) * WIDTH_MULTIPLE
    return ChameleonConfig(
        architectures=["ChameleonForConditionalGeneration"],
        vocab_size=vocab.size,
        hidden_size=options.hidden_size,
        intermediate_size=width,
        num_hidden_layers=options.num_layers,
        num_attention_heads=options.num_heads,
        num_key_value_heads=options.num_heads,
        max_position_embeddings=max_tokens,
        swin_norm=options.swin_norm,
        bos_token_id=vocab.bos,
        eos_token_id=vocab.end_of_turn,
        vq_config=TINY_VQ | {"num_embeddings": len(vocab.codes)},
        vocabulary_map={IMAGE_PLACEHOLDER if name == PLACEHOLDER_NAME else name: token_id for name, token_id in names.items()},
    )


def empty_model(config: ChameleonConfig, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A model whose parameters are still to be filled, on the CPU."""
    with torch.device("meta"):
        model = LanguageModel(config).to(dtype)
    model = model.to_empty(device="cpu")
    model.tie()  # a fresh tensor was made for each place
    model.model.rotary_emb = ChameleonRotaryEmbedding(config)  # its tables are computed, not stored
    return model


def draw_weights(model: LanguageModel, generator: torch.Generator) -> None:
    """Normal weights; smaller where a branch ends in the residual stream, as in GPT-2, so that depth does not add up."""
    std = model.config.initializer_range
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                ends = name.endswith(("o_proj", "down_proj"))
                module.weight.normal_(0, std / (2 * model.config.num_hidden_layers) ** 0.5 if ends else std, generator=generator)
                if getattr(module, "bias", None) is not None:
                    module.bias.zero_()
            elif isinstance(module, ChameleonRMSNorm | ChameleonLayerNorm):
                module.weight.fill_(1)
                if getattr(module, "bias", None) is not None:
                    module.bias.zero_()


def count_parameters(config: ChameleonConfig) -> tuple[int, int]:
    """Parameters in all, and those of embedding and head; nothing is allocated."""
    with torch.device("meta"):
        model = LanguageModel(config)
    total = sum(parameter.numel() for parameter in model.parameters())
    ends = {id(p): p.numel() for p in (model.lm_head.weight, model.model.embed_tokens.weight)}
    return total, sum(ends.values())


def choose_device(name: str) -> torch.device:
    """The device that an option names; "auto" is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
