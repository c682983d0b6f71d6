"""CLIP over `open-clip-torch`: one model that pictures and captions pass once, and that all filters share which want it.

The worker prepares small arrays (clip_stage.py), the model turns them into vectors:

    Embed(pixels_NHWC uint8, ids_ML) --> Embedded(images_ND, texts_MD)      float32, L2-normalised
    Describe()                       --> how pictures are to be prepared, as open_clip keeps it beside the loaded model

Shapes: N pictures of H x W pixels and C = 3 channels, M captions of L token ids, D the width of an embedding.
"""

import hashlib
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors import SafetensorError

from pipeline import paths
from pipeline.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

LOCAL_DIR = "local-dir:"  # open_clip's prefix of a folder with open_clip_config.json and weights
CONFIG_FILE = "open_clip_config.json"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")  # what open_clip looks for in such a folder
TABLE_SUFFIXES = (".json", ".txt", ".model")  # the tokenizer's files, where the folder has one
ROWS_A_PASS = 64  # on a GPU, always: with one shape, a row goes the same way whatever else is asked
DOES_NOT_LOAD = (  # what open_clip and torch raise on weights that are damaged or another model's
    *(RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, OSError),
    pickle.UnpicklingError,
    SafetensorError,
)


@dataclass(frozen=True)
class ClipModel:
    """Which CLIP, and from where: the table [clip]. Off until weights are named."""

    model: str = "ViT-L-14-quickgelu"  # open_clip's name (OpenAI's weights want -quickgelu), or local-dir:FOLDER
    pretrained: str = ""  # a tag of open_clip's for that name ("openai"), or a checkpoint file; empty with local-dir:
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU, float32 on a CPU
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    batch_size: int = 64  # samples that a worker prepares and asks for at once; leaves no trace in the scores

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size: at least 1 is wanted, got {self.batch_size}")

    @property
    def folder(self) -> str:
        """Of a model that is described by its own files; empty for open_clip's own ones."""
        return self.model.removeprefix(LOCAL_DIR) if self.model.startswith(LOCAL_DIR) else ""

    @property
    def is_on(self) -> bool:
        return bool(self.folder or self.pretrained)

    @property
    def dimension(self) -> int:
        """D of its embeddings."""
        return int(self._config()["embed_dim"])

    def check(self) -> None:
        """Find weights and tokenizer; those of a tag are fetched into open_clip's cache where they are not in it.

        Raises:
            RecipeError: CLIP is off, open_clip is missing or knows no such model, or there are no such weights.
        """
        if not self.is_on:
            raise RecipeError(
                "clip.pretrained: missing, so CLIP is off; say whose weights: a tag of open_clip's or a checkpoint file, "
                f'or model = "{LOCAL_DIR}FOLDER"'
            )
        if self.folder and self.pretrained:
            raise RecipeError(f"clip.pretrained: {self.model} brings its own weights; leave {self.pretrained!r} out")
        open_clip = _open_clip()
        self._config()
        self._weight_files()
        try:
            open_clip.get_tokenizer(self.model)
        except (OSError, ValueError) as error:
            raise RecipeError(f"clip.model: the tokenizer of {self.model} cannot be had: {error}") from error

    def fingerprint(self) -> str:
        """sha256 over everything that scores hang on: the weights, the network's shape, how pictures are prepared, the number type."""
        digest = hashlib.sha256(json.dumps([self.precision, self._config(), self._tag()], sort_keys=True).encode())
        for path in (*self._weight_files(), *self._folder_files(TABLE_SUFFIXES)):
            digest.update(paths.sha256(path).encode())
        return digest.hexdigest()

    def load(self) -> "LoadedClip":
        """Read the weights.

        Raises:
            RecipeError: They do not fit the model, or there is no GPU where one is asked for.
        """
        import torch

        open_clip = _open_clip()
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RecipeError("clip.device: there is no GPU here; say cpu or auto")
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        precision = ("bfloat16" if device == "cuda" else "float32") if self.precision == "auto" else self.precision
        try:
            network = open_clip.create_model(
                self.model,
                pretrained=self.pretrained or None,
                precision={"float32": "fp32", "bfloat16": "bf16"}[precision],
                device=device,
                require_pretrained=True,
                weights_only=True,
            )
        except DOES_NOT_LOAD as error:
            raise RecipeError(f"clip: {self.pretrained or self.folder} cannot be loaded as {self.model}: {error}") from error
        return LoadedClip(network, precision, device)

    def _config(self) -> dict[str, Any]:
        """The shape of the network, as open_clip writes it."""
        if self.folder:
            path = paths.join(self.folder, CONFIG_FILE)
            try:
                config = json.loads(paths.read_bytes(path))["model_cfg"]
            except (ValueError, KeyError, TypeError) as error:
                raise RecipeError(f"{path}: wants a JSON object with 'model_cfg' ({error!r})") from error
        else:
            config = _open_clip().get_model_config(self.model)
        if not isinstance(config, dict) or "embed_dim" not in config:
            raise RecipeError(f"clip.model: open_clip knows no {self.model!r}; see `open_clip.list_models()`; {LOCAL_DIR}FOLDER is yours")
        return config

    def _tag(self) -> dict[str, Any]:
        """What open_clip knows of `pretrained` where it is a tag: address, mean, std, ..."""
        if self.folder:
            return {}
        open_clip = _open_clip()
        tag: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, self.pretrained)
        if tag and bool(tag.get("quick_gelu")) != bool(self._config().get("quick_gelu")):  # open_clip only warns, and scores are wrong
            other = self.model.removesuffix("-quickgelu") if "quickgelu" in self.model else f"{self.model}-quickgelu"
            raise RecipeError(f"clip.model: {self.pretrained} was trained with another activation than {self.model} has; say {other!r}")
        return tag

    def _weight_files(self) -> list[str]:
        if self.folder:
            found = self._folder_files(WEIGHT_SUFFIXES)
            if not found:
                raise RecipeError(f"clip.model: there are no weights in {self.folder} ({', '.join(WEIGHT_SUFFIXES)})")
            return found
        tag, open_clip = self._tag(), _open_clip()
        if not tag:
            if not Path(self.pretrained).is_file():
                tags = ", ".join(open_clip.list_pretrained_tags_by_model(self.model)) or "none"
                raise RecipeError(f"clip.pretrained: {self.pretrained} is no file, and no tag of {self.model}; its tags: {tags}")
            return [self.pretrained]
        try:
            return [open_clip.download_pretrained(tag)]
        except (OSError, RuntimeError) as error:
            raise RecipeError(
                f"clip.pretrained: the weights {self.pretrained!r} of {self.model} are not in the cache, and cannot be fetched from here "
                f"({error}); give a checkpoint file, or fetch them where there is a network"
            ) from error

    def _folder_files(self, suffixes: tuple[str, ...]) -> list[str]:
        if not self.folder:
            return []
        return [paths.join(self.folder, name) for name in paths.list_files(self.folder) if name.endswith(suffixes)]


@dataclass(frozen=True, slots=True)
class Describe:
    """Asks how pictures are to be prepared."""


@dataclass(frozen=True, slots=True, eq=False)
class Embed:
    """Asks for the vectors of pictures and captions; either may be none."""

    pixels_NHWC: np.ndarray  # uint8 RGB
    ids_ML: np.ndarray  # int64, padded to the context


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """The vectors, float32 and of length 1."""

    images_ND: np.ndarray
    texts_MD: np.ndarray


class LoadedClip:
    """A CLIP in memory.

    On a CPU every picture and every caption passes by itself in one thread, as many at once as there are cores: with several in a pass,
    sums end in other last bits, and the ledger would depend on the batch size; several threads in a pass were seen to change nothing, but
    nobody promises it. It cost a fifth to a third of the speed of a large batch on ViT-B-32. On a GPU, where a row alone would waste the
    machine, every pass has the same number of rows, for the same reason.

    Args:
        network: open_clip's; taken over.
        precision: Its number type. Pictures are normalised in float32 and so are the vectors.
        device: "cpu" or "cuda".
    """

    def __init__(self, network: Any, precision: str, device: str):
        import torch

        self._network = network.eval().requires_grad_(False)
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
        self._device = torch.device(device)
        self._preprocess: dict[str, Any] = dict(network.visual.preprocess_cfg)
        mean, std = self._preprocess["mean"], self._preprocess["std"]
        self._mean, self._std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))
        self._rows = 1 if device == "cpu" else ROWS_A_PASS
        threads = torch.get_num_threads() if device == "cpu" else 1
        self._pool = None
        if threads > 1:
            self._pool = ThreadPoolExecutor(threads, "clip", initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, request: Any) -> Any:
        """Answer a Describe with open_clip's preprocessing settings, an Embed with an Embedded."""
        if isinstance(request, Describe):
            return dict(self._preprocess)
        return Embedded(self._each(self._embed_pictures, request.pixels_NHWC), self._each(self._embed_texts, request.ids_ML))

    def _each(self, embed: "Callable[[Tensor], Tensor]", rows: np.ndarray) -> np.ndarray:
        """[rows, D] float32, in passes of one row on a CPU, of ROWS_A_PASS on a GPU."""
        if not len(rows):
            return np.empty((0, 0), np.float32)
        passes = [rows[start : start + self._rows] for start in range(0, len(rows), self._rows)]
        run = map if self._pool is None else self._pool.map
        return np.concatenate(list(run(lambda part: self._pass(embed, part), passes)))

    def _pass(self, embed: "Callable[[Tensor], Tensor]", rows: np.ndarray) -> np.ndarray:
        import torch

        padded = np.zeros((self._rows, *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        with torch.inference_mode():
            vectors = embed(torch.from_numpy(padded).to(self._device))
            found: np.ndarray = torch.nn.functional.normalize(vectors.float(), dim=-1)[: len(rows)].cpu().numpy()
        return found

    def _embed_pictures(self, pixels_NHWC: "Tensor") -> "Tensor":
        pixels = pixels_NHWC.permute(0, 3, 1, 2).contiguous().float() / 255  # as torchvision's to_tensor and normalize do it
        vectors: Tensor = self._network.encode_image(((pixels - self._mean) / self._std).to(self._dtype))
        return vectors

    def _embed_texts(self, ids_ML: "Tensor") -> "Tensor":
        vectors: Tensor = self._network.encode_text(ids_ML)
        return vectors


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise RecipeError(f"clip: wants the package open-clip-torch, pip install 'mgpt[clip]' ({error})") from error
    return open_clip
