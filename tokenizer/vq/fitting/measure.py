"""How well a network that is being fitted brings held-out pictures back: the figures of a progress line.

Shapes: B pictures of H x W pixels.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from tokenizer.vq.fitting.feed import to_tensor
from tokenizer.vq.measures import gradient, psnr, ssim
from tokenizer.vq.network import VQGAN


@dataclass(frozen=True)
class Measure:
    """How well pictures come back."""

    psnr: float  # dB, mean over pictures
    ssim: float  # mean over pictures
    gradient: float  # mean gradient magnitude of the decoded pictures, as a share of the originals'
    codes_used: int  # different codes in all pictures together

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.2f} dB, SSIM {self.ssim:.3f}, gradient {self.gradient:.2f}, {self.codes_used} codes used"

    def numbers(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def measure_network(network: VQGAN, pictures_BHWC: np.ndarray, quantized: bool, device: torch.device) -> Measure:
    """Send pictures through the network, one at a time.

    Args:
        network: In float32, on the device.
        pictures_BHWC: uint8.
        quantized: Through the codebook too; False while it has not begun.
    """
    decoded, used = [], set()
    network.eval()
    with torch.inference_mode():
        for picture in pictures_BHWC:
            z = network.encode(to_tensor(picture[None]).to(device))
            if quantized:
                codes = network.codes(z)
                used.update(codes.flatten().tolist())
                z = network.vectors(codes)
            levels = (network.decode(z)[0].clamp(-1, 1) + 1) / 2 * 255
            decoded.append(levels.permute(1, 2, 0).to("cpu", torch.uint8).numpy())
    network.train()
    pairs = list(zip(pictures_BHWC, decoded, strict=True))
    return Measure(
        psnr=float(np.mean([psnr(a, b) for a, b in pairs])),
        ssim=float(np.mean([ssim(a, b) for a, b in pairs])),
        gradient=sum(gradient(b) for _, b in pairs) / max(1e-9, sum(gradient(a) for a, _ in pairs)),
        codes_used=len(used),
    )
