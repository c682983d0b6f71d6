"""Models of depth, classes, persons and body points with random weights, saved to folders as the published ones are."""

import json
from pathlib import Path

import torch
from transformers import (
    AutoModelForSemanticSegmentation,
    BertTokenizerFast,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    EomtConfig,
    EomtForUniversalSegmentation,
    EomtImageProcessor,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    OneFormerImageProcessor,
    OneFormerProcessor,
    ResNetConfig,
    SegformerConfig,
    SegformerImageProcessor,
    SwinConfig,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessor,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessor,
)

SIDE = 32  # pixels of what most of them see
SIZE = {"height": SIDE, "width": SIDE}
VIT = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
NAMES = ("wall", "sky", "tree", "person", "grass")


def save(folder: Path, model: torch.nn.Module, processor: object) -> Path:
    """With weights far from each other, so that what is found differs from place to place."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def labels(names: tuple[str, ...] = NAMES) -> dict[str, dict]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}


def loud(model: torch.nn.Module, factor: float = 8.0) -> torch.nn.Module:
    """Weights that are larger than they are initialised."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)
    return model


def decided(model: torch.nn.Module) -> torch.nn.Module:
    """Queries that differ in their classes and in where they look."""
    parts = ("class_predictor.weight", "class_embed.weight", "mask_embedder.2", "mask_embed.layers.2", "queries_features")
    parts += ("query_embed", "query_position")
    with torch.no_grad():
        for name, parameter in loud(model, 4).named_parameters():
            if any(part in name for part in parts):
                parameter.normal_(0, 3)
    return model


def save_dpt(folder: Path) -> Path:
    torch.manual_seed(1)
    config = DPTConfig(
        **VIT,
        image_size=SIDE,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    return save(folder, loud(DPTForDepthEstimation(config), 4), DPTImageProcessor(size=SIZE))


def save_depth_anything(folder: Path, estimates: str = "relative") -> Path:
    """Keeps the proportions of a picture: the network sees inputs of several shapes."""
    torch.manual_seed(2)
    stages = [f"stage{number}" for number in range(1, 5)]
    backbone = Dinov2Config(**VIT, image_size=28, patch_size=7, out_features=stages, reshape_hidden_states=False)
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=7,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=estimates,
        max_depth=20 if estimates == "metric" else 1,
    )
    model = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        model.head.conv3.bias.fill_(0.5)  # what is left of depth behind the rectifier
    processor = DPTImageProcessor(size={"height": 28, "width": 28}, keep_aspect_ratio=True, ensure_multiple_of=7)
    return save(folder, loud(model, 10), processor)


def save_zoe(folder: Path) -> Path:
    """Its processor adds a margin, which its post-processing takes away."""
    torch.manual_seed(3)
    from transformers import BeitConfig

    backbone = BeitConfig(
        **VIT,
        image_size=SIDE,
        patch_size=8,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=8,
        bin_embedding_dim=8,
        num_attractors=[4, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    )
    return save(folder, loud(ZoeDepthForDepthEstimation(config), 12), ZoeDepthImageProcessor(size=SIZE, ensure_multiple_of=8))


def save_segformer(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    torch.manual_seed(4)
    config = SegformerConfig(
        num_encoder_blocks=4,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        **labels(names),
    )
    return save(folder, loud(AutoModelForSemanticSegmentation.from_config(config)), SegformerImageProcessor(size=SIZE))


def save_mask2former(folder: Path, pads: bool = False) -> Path:
    """
    Args:
        pads: Pictures are scaled in their proportions, and padded to 64 x 64 pixels.
    """
    torch.manual_seed(5)
    config = Mask2FormerConfig(
        backbone_config=SwinConfig(
            image_size=SIDE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2, out_features=four_stages()
        ),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
        **labels(),
    )
    if pads:
        edges, square = {"shortest_edge": 32, "longest_edge": 64}, {"height": 64, "width": 64}
        processor = Mask2FormerImageProcessor(size=edges, size_divisor=8, pad_size=square)
    else:
        processor = Mask2FormerImageProcessor(size={"height": 64, "width": 64})
    return save(folder, decided(Mask2FormerForUniversalSegmentation(config)), processor)


def save_oneformer(folder: Path) -> Path:
    torch.manual_seed(6)
    folder.mkdir(parents=True)
    backbone = SwinConfig(
        image_size=SIDE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2, out_features=four_stages()
    )
    config = OneFormerConfig(
        backbone_config=backbone,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        query_dec_layers=1,
        num_attention_heads=2,
        num_queries=6,
        text_encoder_width=16,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=20,
        text_encoder_context_length=12,
        text_encoder_n_ctx=4,
        task_seq_len=12,
        max_seq_len=12,
        is_training=False,
        **labels(),
    )
    classes = {str(number): {"name": name, "isthing": number == 3} for number, name in enumerate(NAMES)}
    (folder / "classes.json").write_text(json.dumps(classes))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "task", "is", "semantic", "instance", "panoptic"]
    (folder / "vocab.txt").write_text("\n".join(words))
    text = BertTokenizerFast(str(folder / "vocab.txt"))
    images = OneFormerImageProcessor(size={"height": 64, "width": 64}, repo_path=str(folder), class_info_file="classes.json", num_text=2)
    processor = OneFormerProcessor(images, text, max_seq_length=12, task_seq_length=12)
    return save(folder, decided(OneFormerForUniversalSegmentation(config)), processor)


def save_eomt(folder: Path, is_tiled: bool = True) -> Path:
    torch.manual_seed(7)
    config = EomtConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        num_blocks=1,
        num_upscale_blocks=1,
        num_queries=6,
        mlp_ratio=2,
        **labels(),
    )
    size = {"shortest_edge": SIDE, "longest_edge": None if is_tiled else SIDE}
    processor = EomtImageProcessor(size=size, do_split_image=is_tiled, do_pad=not is_tiled)
    return save(folder, loud(EomtForUniversalSegmentation(config), 4), processor)


def save_vitpose(folder: Path, num_experts: int = 1, num_points: int = 17) -> Path:
    torch.manual_seed(8)
    more = {"num_experts": num_experts, "part_features": 4} if num_experts > 1 else {}
    backbone = VitPoseBackboneConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[32, 24],
        patch_size=[8, 8],
        out_indices=[2],
        **more,
    )
    names = tuple(f"point_{number}" for number in range(num_points))
    config = VitPoseConfig(backbone_config=backbone, scale_factor=4, use_simple_decoder=True, **labels(names))
    return save(folder, loud(VitPoseForPoseEstimation(config), 6), VitPoseImageProcessor(size={"height": 32, "width": 24}))


def save_detr(folder: Path, names: tuple[str, ...] = ("car", "person", "dog")) -> Path:
    torch.manual_seed(9)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_features=four_stages()
    )
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        num_queries=8,
        **labels(names),
    )
    model = decided(DetrForObjectDetection(config)).eval()
    with torch.no_grad():  # the heads see in what the queries differ, not what they have in common
        common = model(torch.randn(1, 3, 160, 240)).last_hidden_state[0].mean(0)
        for part, width in ((model.class_labels_classifier, 4), (model.bbox_predictor.layers[0], 6)):
            part.weight.normal_(0, width)
            part.bias.copy_(-part.weight @ common)
        for part in model.bbox_predictor.layers[1:]:
            part.weight.normal_(0, 0.4)
    size = {"shortest_edge": 160, "longest_edge": 320}  # the last stage halves them five times
    return save(folder, model, DetrImageProcessor(size=size))


def four_stages() -> list[str]:
    return ["stage1", "stage2", "stage3", "stage4"]
