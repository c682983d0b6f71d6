"""Chameleon's VQGAN as a recipe names it: the published `vqgan.yaml` + `vqgan.ckpt`, or the small one that ships with this project.

Shapes: B pictures, H x W pixels, C = 3 channels, h x w codes.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.errors import RecipeError
from pipeline.paths import exists, read_bytes
from tokenizer.vq.config import NetworkConfig, read_config

if TYPE_CHECKING:
    from torch import Tensor

    from tokenizer.vq.network import VQGAN

BUNDLED = Path(__file__).parent / "bundled"
PIXELS_A_PASS = 1 << 20  # that are decoded at once, or encoded on a GPU: four pictures of 512 x 512


@dataclass(frozen=True)
class ChameleonVQ:
    """A VQGAN of Chameleon's class."""

    config: str = ""  # vqgan.yaml; empty together with `weights`: the bundled network
    weights: str = ""  # vqgan.ckpt or .safetensors
    dtype: Literal["float32", "bfloat16"] = "float32"  # bfloat16 is faster on a GPU and on CPUs with AVX512-BF16 or AMX; a few codes differ
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one

    @property
    def downsample(self) -> int:
        """Pixels a side for one code."""
        return self._network.downsample

    @property
    def num_codes(self) -> int:
        return self._network.num_codes

    def check(self) -> None:
        """Refuse what cannot work, without torch.

        Raises:
            RecipeError: A file is missing, or the config is none that this class can build.
        """
        config, weights = self._files
        if not exists(weights):
            raise RecipeError(f"{weights}: no such file")
        read_config(config)

    def fingerprint(self) -> str:
        """sha256 over both files and the number type."""
        digest = hashlib.sha256(self.dtype.encode())
        for path in self._files:
            digest.update(hashlib.sha256(read_bytes(path)).digest())
        return digest.hexdigest()

    def load(self) -> "LoadedChameleon":
        """Read the weights.

        Raises:
            RecipeError: They do not fit the config; the message names the keys.
        """
        import torch

        from tokenizer.vq.network import VQGAN
        from tokenizer.vq.weights import load_weights, read_weights

        self.check()
        with torch.device("meta"):
            network = VQGAN(self._network)
        network = network.to_empty(device="cpu")
        load_weights(network, read_weights(self._files[1]), self._files[1])
        return LoadedChameleon(network, self.dtype, self.device, self.downsample)

    @cached_property
    def _network(self) -> NetworkConfig:
        return read_config(self._files[0])

    @property
    def _files(self) -> tuple[str, str]:
        if bool(self.config) != bool(self.weights):
            missing = "weights" if self.config else "config"
            raise RecipeError(f"vq.{missing}: config and weights belong together; set both, or none for the bundled network")
        if self.config:
            return self.config, self.weights
        return str(BUNDLED / "vqgan.yaml"), str(BUNDLED / "weights.safetensors")


class LoadedChameleon:
    """A VQGAN in memory.

    Encoder and decoder run in the chosen number type; the projection to the codebook and the distances are always float32, because bfloat16
    cannot tell neighbouring code vectors apart. bfloat16 runs in channels_last order, which its kernels want.

    On a CPU every picture is encoded by itself in one thread, as many at once as there are cores: with several threads a picture, or
    several pictures a pass, sums end in other last bits and codes near a tie flip, so that a shard would depend on the number of cores. It
    costs no speed where there are as many pictures as cores.

    Args:
        network: In float32; taken over.
        dtype: Of encoder and decoder.
        device: "auto" is the GPU where there is one.
        downsample: Pixels a side for one code.
    """

    def __init__(self, network: "VQGAN", dtype: Literal["float32", "bfloat16"], device: Literal["auto", "cpu", "cuda"], downsample: int):
        import torch

        self._device = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu" if device == "auto" else device)
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
        self._downsample = downsample
        self._threads = torch.get_num_threads() if self._device.type == "cpu" else 1
        self._pool = None
        if self._threads > 1:
            self._pool = ThreadPoolExecutor(self._threads, "vq", initializer=torch.set_num_threads, initargs=(1,))
        self._layout = torch.contiguous_format if dtype == "float32" else torch.channels_last
        self._network = network.eval().requires_grad_(False).to(self._device).to(memory_format=self._layout)
        self._network.encoder.to(self._dtype)
        self._network.decoder.to(self._dtype)

    def encode(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        """Find the codes of pictures.

        Args:
            pixels_BHWC: uint8 RGB [B, H, W, 3]; H and W multiples of `downsample`.

        Returns:
            int32 [B, h, w].
        """
        batch, height, width, _ = pixels_BHWC.shape
        if pixels_BHWC.dtype != np.uint8 or height % self._downsample or width % self._downsample:
            raise ValueError(f"wants uint8 in multiples of {self._downsample} pixels, got {pixels_BHWC.dtype} {pixels_BHWC.shape}")
        codes = np.empty((batch, height // self._downsample, width // self._downsample), np.int32)
        step = 1 if self._device.type == "cpu" else max(1, PIXELS_A_PASS // (height * width))
        slices = [slice(start, start + step) for start in range(0, batch, step)]
        encode = map if self._pool is None else self._pool.map
        for part, found in zip(slices, encode(self._encode, [pixels_BHWC[part] for part in slices]), strict=True):
            codes[part] = found
        return codes

    def decode(self, codes_BHW: np.ndarray) -> np.ndarray:
        """Draw pictures from codes.

        Args:
            codes_BHW: Integers [B, h, w].

        Returns:
            uint8 RGB [B, h * downsample, w * downsample, 3].
        """
        batch, height, width = codes_BHW.shape
        pixels = np.empty((batch, height * self._downsample, width * self._downsample, 3), np.uint8)
        step = max(1, PIXELS_A_PASS // (height * width * self._downsample**2))
        for start in range(0, batch, step):
            pixels[start : start + step] = self._decode(codes_BHW[start : start + step])
        return pixels

    def code_vectors(self) -> np.ndarray:
        """float32 [K, E]: the codebook."""
        vectors: np.ndarray = self._network.quantize.embedding.weight.float().cpu().numpy()
        return vectors

    def _encode(self, pixels_BHWC: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(pixels_BHWC, order="C"))  # a copy: torch takes neither read-only nor mirrored arrays
            x = pixels.to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1
            z = self._network.encoder(x.to(self._dtype, memory_format=self._layout))
            z = self._network.quant_conv(z.float())
            return self._network.codes(z).to("cpu", torch.int32).numpy()

    def _decode(self, codes_BHW: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            codes = torch.from_numpy(codes_BHW.astype(np.int64)).to(self._device)
            z = self._network.post_quant_conv(self._network.vectors(codes))
            x: Tensor = self._network.decoder(z.to(self._dtype, memory_format=self._layout)).float()
            levels = (x.clamp(-1, 1) + 1) / 2 * 255  # truncated, as the reference does it
            return levels.permute(0, 2, 3, 1).to("cpu", torch.uint8).contiguous().numpy()
