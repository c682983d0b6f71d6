"""Open-vocabulary detectors with random weights, a few thousand of them, saved to folders as the published ones are."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    BertTokenizerFast,
    CLIPTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
)

WORDS = ("a", "the", "red", "brown", "dog", "cat", "man", "head", "hat", "and", "in", "his", "t", "shirt", "umb", "##rella", "##s", "##an")
IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "'": 1005, ",": 1010, "-": 1011, ".": 1012, "?": 1029}  # as BERT's
MAX_TEXT = 24  # tokens that the grounding models hold


def save_grounding_dino(folder: Path) -> Path:
    torch.manual_seed(1)
    model = GroundingDinoForObjectDetection(GroundingDinoConfig(**grounding_options()))
    return save(folder, shaken(model), grounding_processor(folder))


def save_mm_grounding_dino(folder: Path) -> Path:
    torch.manual_seed(2)
    model = MMGroundingDinoForObjectDetection(MMGroundingDinoConfig(**grounding_options()))
    for embedding in model.class_embed:
        torch.nn.init.zeros_(embedding.bias)  # a fresh one says that there is nothing
    return save(folder, shaken(model), grounding_processor(folder))


def save_owlvit(folder: Path) -> Path:
    torch.manual_seed(3)
    size = {"height": 32, "width": 32}
    images = OwlViTImageProcessor(size=size, crop_size=size)
    return save(folder, calmed(OwlViTForObjectDetection(OwlViTConfig(**list_options()))), OwlViTProcessor(images, clip_tokenizer()))


def save_owlv2(folder: Path) -> Path:
    torch.manual_seed(4)
    images = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    return save(folder, calmed(Owlv2ForObjectDetection(Owlv2Config(**list_options()))), Owlv2Processor(images, clip_tokenizer()))


def grounding_options() -> dict[str, Any]:
    text = {
        "model_type": "bert",
        "vocab_size": 1060,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "initializer_range": 0.7,
    }
    backbone = {
        "model_type": "swin",
        "image_size": 32,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1, 1, 1],
        "num_heads": [2, 2, 2],
        "window_size": 4,
        "out_indices": [2, 3],
        "initializer_range": 0.7,
    }
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return {
        "text_config": text,
        "backbone_config": backbone,
        "d_model": 32,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "num_queries": 40,
        "num_feature_levels": 3,
        "max_text_len": MAX_TEXT,
        "init_std": 0.3,
        **layers,
    }


def grounding_processor(folder: Path) -> GroundingDinoProcessor:
    folder.mkdir()
    names = {number: f"[unused{number}]" for number in range(1060)} | {number: name for name, number in IDS.items()}
    names |= dict(enumerate(WORDS, start=1030))
    vocabulary = {names[number]: number for number in range(1060)}
    text = BertTokenizerFast(vocab=vocabulary, do_lower_case=True)
    return GroundingDinoProcessor(GroundingDinoImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}), text)


def list_options() -> dict[str, Any]:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.5}
    text = {**sizes, "vocab_size": 520, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 518, "eos_token_id": 519}
    return {"text_config": text, "vision_config": {**sizes, "image_size": 32, "patch_size": 8}, "projection_dim": 16}


def clip_tokenizer() -> CLIPTokenizerFast:
    """CLIP's, of bytes alone: a letter a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["!", *(letter for letter in letters if letter != "!"), *(f"{letter}</w>" for letter in letters)]
    names += [f"<unused{number}>" for number in range(518 - len(names))] + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizerFast(vocab={name: number for number, name in enumerate(names)}, merges=[], model_max_length=16, pad_token="!")


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """With noise on all weights: fresh boxes lie all alike."""
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return model


def calmed(model: torch.nn.Module) -> torch.nn.Module:
    """With smaller weights for boxes: fresh ones fill the picture or vanish."""
    with torch.no_grad():
        for weight in model.box_head.parameters():
            weight *= 0.1
    return model


def save(folder: Path, model: torch.nn.Module, processor: object) -> Path:
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
