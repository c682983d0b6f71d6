"""Where a training begins: a new model, a model folder, the last checkpoint of another training, or one of its own."""

import hashlib
from pathlib import Path

import torch

from jobs.inspection.decode import load_vq
from jobs.lm.checkpoint import find_checkpoints
from jobs.lm.code_rows import start_from_vectors
from jobs.lm.folder import CONFIG, ModelFolder, load_folder, load_sharded, read_names, weight_files
from jobs.lm.model import choose_device, new_model
from jobs.lm.modes import frozen_dtype
from jobs.lm.options import TrainOptions
from jobs.lm.parallel import Ranks, shard_model
from jobs.lm.train_data import TrainData

PIECES, PIECE = 64, 1 << 14  # of each file that a fingerprint looks at: a megabyte, spread over all of it


def find_start(init: str) -> Path:
    """The model folder that `train.init` means."""
    path = Path(init)
    checkpoints = [] if (path / CONFIG).is_file() else find_checkpoints(path)
    return checkpoints[-1] if checkpoints else path


def fingerprint_weights(folder: Path) -> str:
    """sha256 in hex over sizes and pieces of a folder's weight files, so that 13 GB take no longer than 13 MB; empty: there are none."""
    found = hashlib.sha256()
    files = [file for file in weight_files(folder) if file.is_file()]
    for file in files:
        size = file.stat().st_size
        found.update(size.to_bytes(8, "little"))
        with file.open("rb") as opened:
            for number in range(PIECES):
                opened.seek(max(size - PIECE, 0) * number // (PIECES - 1))
                found.update(opened.read(PIECE))
    return found.hexdigest() if files else ""


def load_start(start: str, data: TrainData, options: TrainOptions, *, seed: int, max_tokens: int, ranks: Ranks) -> ModelFolder:
    """A model from a folder, or a new one where `start` is empty; on its device, and sharded where there are many ranks.

    Args:
        max_tokens: The longest sequence that a new model shall ever see.

    Raises:
        RecipeError: As in `load_folder`, or the VQ that is to begin from is not there.
        VerificationError: That VQ is not the one that made the tokens.
    """
    names = read_names(data.shards.text_tokenizer)
    dtype = getattr(torch, options.dtype)
    if start and ranks.mesh is not None:
        return load_sharded(start, data.vocab, names, mesh=ranks.mesh, dtype=dtype, stored=frozen_dtype(options))
    if start:
        loaded = load_folder(start, data.vocab, names, frozen_dtype(options))
    else:
        model = new_model(options, data.vocab, names, max_tokens=max_tokens, seed=seed)
        if options.code_rows == "vq":
            vectors_KE = load_vq(data.shards.manifest).code_vectors()
            start_from_vectors(model, torch.tensor(data.vocab.codes[: len(vectors_KE)]), torch.from_numpy(vectors_KE), seed)
        loaded = ModelFolder(model, {})
    if ranks.mesh is not None:
        shard_model(loaded.model, ranks.mesh, dtype)
        return loaded
    loaded.model.to(choose_device(options.device))
    return loaded
