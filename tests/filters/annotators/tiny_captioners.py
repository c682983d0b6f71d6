"""Image-to-text models with random weights, a few thousand of them, saved to folders as the published ones are."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

WORDS = (
    *("a", "the", "red", "blue", "green", "dog", "cat", "house", "tree", "on", "in", "beside", "of", "circle", "square", ".", ","),
    *("what", "is", "this", "describe", "picture", "user", "assistant", ":"),
)
SIDE = 32  # pixels of what the models see
CHAT = (
    "{% for m in messages %}user : {% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}assistant :{% endif %}"
)


SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def tokenizer(*special: str, **roles: Any) -> PreTrainedTokenizerFast:
    names = [*special, *WORDS]
    inner = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token=special[0]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, additional_special_tokens=list(special), **roles)


def save_blip(folder: Path) -> Path:
    """Without a chat template; its captions end with [SEP]."""
    torch.manual_seed(1)
    text = tokenizer(
        "[UNK]", "[PAD]", "[CLS]", "[SEP]", "[DEC]", unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    ids = {"pad_token_id": 1, "bos_token_id": 4, "eos_token_id": 3, "sep_token_id": 3}
    config = BlipConfig(
        text_config={**SIZES, **ids, "vocab_size": len(text), "encoder_hidden_size": 32, "max_position_embeddings": 64},
        vision_config={**SIZES, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
        initializer_range=0.5,
    )
    config.text_config.initializer_range = config.vision_config.initializer_range = 0.5
    size = {"height": SIDE, "width": SIDE}
    return save(folder, BlipForConditionalGeneration(config), BlipProcessor(BlipImageProcessor(size=size), text))


def save_llava(folder: Path, with_template: bool = True) -> Path:
    torch.manual_seed(2)
    text = llama_like_tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**SIZES, image_size=SIDE, patch_size=8, projection_dim=16),
        text_config=LlamaConfig(**SIZES, vocab_size=len(text), pad_token_id=1, bos_token_id=2, eos_token_id=3, initializer_range=0.5),
        image_token_id=4,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    chat = {"chat_template": CHAT} if with_template else {}
    processor = LlavaProcessor(images, text, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1, **chat)
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 3, 1
    return save(folder, model, processor)


def save_blip2(folder: Path) -> Path:
    torch.manual_seed(4)
    text = llama_like_tokenizer()
    ids = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    words = OPTConfig(**ids, vocab_size=len(text), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=64, init_std=0.5)
    words.word_embed_proj_dim, words.max_position_embeddings = 32, 128
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**SIZES, image_size=SIDE, patch_size=8).to_dict(),
        qformer_config=Blip2QFormerConfig(**SIZES, vocab_size=30, encoder_hidden_size=32).to_dict(),
        text_config=words.to_dict(),
        num_query_tokens=4,
        image_token_index=4,
    )
    model = Blip2ForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 3, 1
    images = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    return save(folder, model, Blip2Processor(images, text, num_query_tokens=4))


def save_florence(folder: Path) -> Path:
    """An encoder that reads the picture and the prompt, a decoder that speaks."""
    torch.manual_seed(5)
    text = llama_like_tokenizer(extra_special_tokens={"image_token": "<image>"})
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ids = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3, "forced_eos_token_id": None}
    words = BartConfig(**layers, **heads, **ids, vocab_size=len(text), d_model=32, max_position_embeddings=128, init_std=0.7)
    vision = {"embed_dim": [8, 16, 16, 32], "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2], "depths": [1, 1, 1, 1]}
    config = Florence2Config(
        text_config=words.to_dict(),
        vision_config={**vision, "window_size": 2, "projection_dim": 32},
        image_token_id=4,
        is_encoder_decoder=True,
    )
    model = Florence2ForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 3, 1
    model.generation_config.decoder_start_token_id = 3
    images = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    return save(folder, model, Florence2Processor(images, text, num_additional_image_tokens=1))


def llama_like_tokenizer(**others: Any) -> PreTrainedTokenizerFast:
    roles = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return tokenizer("<unk>", "<pad>", "<s>", "</s>", "<image>", **roles, **others)


def save_qwen(folder: Path) -> Path:
    """A picture takes as many tokens as it has patches: the rows of a batch have to be padded."""
    torch.manual_seed(3)
    special = ("<|unk|>", "<|endoftext|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    text = tokenizer(*special, unk_token="<|unk|>", pad_token="<|endoftext|>", eos_token="<|im_end|>")
    config = Qwen2VLConfig(
        text_config={
            **SIZES,
            "num_key_value_heads": 2,
            "vocab_size": len(text),
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
            "initializer_range": 0.5,
            "eos_token_id": 2,
            "pad_token_id": 1,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
        },
        image_token_id=3,
        video_token_id=4,
        vision_start_token_id=5,
        vision_end_token_id=6,
    )
    images = Qwen2VLImageProcessor(patch_size=4, merge_size=2, min_pixels=64, max_pixels=4096)
    videos = Qwen2VLVideoProcessor(patch_size=4, merge_size=2)
    chat = CHAT.replace("<image>", "<|vision_start|> <|image_pad|> <|vision_end|>")
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 1
    return save(folder, model, Qwen2VLProcessor(images, text, videos, chat_template=chat))


def save(folder: Path, model: torch.nn.Module, processor: object) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
