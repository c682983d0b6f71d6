"""The arithmetic of training, counted for tokens that are not padding; what is computed twice to save memory counts once.

matrices    6 x parameters of the layers x tokens          2 forward, 2 backward to activations, 2 to weights
attention   12 x layers x width x pairs of tokens          pairs that see each other: none across sequences, half of a square
head        6 x width x rows x loss tokens                 no logits exist elsewhere

Frozen weights take no gradient: 4 for matrices beside LoRA's (whose own work is not counted), 2 below a head whose rows alone are trained.
"""

from dataclasses import dataclass

import torch

from jobs.lm.model import LanguageModel

PEAK_TFLOPS = {  # dense bfloat16, by a word of the name that CUDA gives; the first that fits counts. Source: NVIDIA's data sheets
    "B200": 2250.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a model does for each thing counted, forward and backward, in floating point operations."""

    per_token: int
    per_pair: int  # of tokens of which one sees the other
    per_loss_token: int

    def flops(self, tokens: float, pairs: float, loss_tokens: float) -> float:
        """In all."""
        return self.per_token * tokens + self.per_pair * pairs + self.per_loss_token * loss_tokens


def work_of(model: LanguageModel, head_rows: int) -> Work:
    """Args:
    head_rows: That make logits.
    """
    layers = [(name, parameter) for name, parameter in model.named_parameters() if name.startswith("model.layers.")]
    matrices = [parameter for name, parameter in layers if name.endswith(("proj.weight", "proj.base_layer.weight"))]
    goes_back = any(parameter.requires_grad for _, parameter in layers)
    passes = 1 + goes_back + any(parameter.requires_grad for parameter in matrices)
    head_passes = 1 + goes_back + (model.lm_head.weight.requires_grad or not goes_back)
    width = model.config.hidden_size
    return Work(
        per_token=2 * passes * sum(parameter.numel() for parameter in matrices),
        per_pair=4 * (3 if goes_back else 1) * model.config.num_hidden_layers * width,
        per_loss_token=2 * head_passes * width * head_rows,
    )


def peak_flops(tflops: float, dtype: str, device: torch.device) -> float:
    """Floating point operations a second that the device could do at most; 0 where that is not known.

    Args:
        tflops: As in `train.peak_tflops`; 0 asks the table.
        dtype: Of the arithmetic; the table knows bfloat16 alone.
    """
    if tflops:
        return tflops * 1e12
    if device.type != "cuda" or dtype != "bfloat16":
        return 0.0
    name = torch.cuda.get_device_name(device)
    return next((1e12 * peak for word, peak in PEAK_TFLOPS.items() if word in name), 0.0)
