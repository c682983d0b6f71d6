"""`mgpt signatures PICTURES TABLE`: a table of evaluation pictures, for the filter `evaluation_duplicates` to keep out of training.

PICTURES is a folder of pictures, which are hashed here, or the output of an `mgpt prepare` over them: the hashes of its filter
`perceptual_duplicates` are taken, and the embeddings of its `near_duplicates`. TABLE is a parquet file, see
filters/evaluation_duplicates.py.

Exit code 3: some pictures could not be read, and nothing guards them; the table of the others is written.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.libraries import require
from filters.neighbours.picture_hash import HASH_BYTES, picture_hash
from filters.neighbours.signatures import CONTEXT_BYTES
from pipeline import paths
from pipeline.decide_units import SIGNATURES_FOLDER
from pipeline.errors import RecipeError
from pipeline.images import PictureError
from pipeline.run_view import signature_column
from pipeline.samples import BadSample
from pipeline.sources.folder import Folder

SCHEMA = pa.schema({"key": pa.string(), "phash": pa.string(), "embedding": pa.list_(pa.float32())})
UNREADABLE = 3  # exit code
UNIT_SIZE = 1000

Row = dict[str, Any]  # of SCHEMA


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", metavar="PICTURES", help="a folder of pictures, or the output of `mgpt prepare`")
    parser.add_argument("table", metavar="TABLE", help="the parquet file to write")


def run(args: argparse.Namespace) -> int:
    """Write the table; the exit code."""
    folder = paths.join(args.pictures, SIGNATURES_FOLDER)
    bad: list[str] = []
    rows = list(_of_run(folder) if paths.list_files(folder) else _of_folder(args.pictures, bad))
    if not any(row["phash"] or row["embedding"] for row in rows):
        raise RecipeError(f"{args.pictures}: there is nothing in it to compare with")
    paths.commit(args.table, partial(pq.write_table, pa.Table.from_pylist(rows, SCHEMA)))
    hashes, embeddings = (sum(row[name] is not None for row in rows) for name in ("phash", "embedding"))
    print(f"{args.table}: {len(rows)} pictures, {hashes} with a hash, {embeddings} with an embedding")
    for line in bad:
        print(f"not in it: {line}")
    return UNREADABLE if bad else 0


def _of_folder(path: str, bad: list[str]) -> Iterator[Row]:
    """A row for every picture; those that cannot be read are added to `bad`."""
    require("evaluation_duplicates", "imagehash", "scipy")
    source = Folder(path)
    for unit in source.plan(UNIT_SIZE):
        for sample in source.read(unit):
            if isinstance(sample, BadSample):
                bad.append(f"{sample.key}: {sample.reason} ({sample.message})")
                continue
            try:
                hashes = picture_hash(sample.images["image"])
            except PictureError as error:
                bad.append(f"{sample.key}: {error.reason} ({error.message})")
                continue
            yield {"key": sample.key, "phash": hashes and hashes[0].hex(), "embedding": None}


def _of_run(folder: str) -> Iterator[Row]:
    """A row for every picture of every sample of a run; the embedding stands in its first one."""
    for name in paths.list_files(folder):
        fs, path = paths.open_fs(paths.join(folder, name))
        with fs.open(path, "rb") as file:
            columns = pq.read_table(file).to_pydict()
        keys = columns["key"]
        none = [None] * len(keys)
        perceptual = columns.get(signature_column("perceptual_duplicates"), none)
        near = columns.get(signature_column("near_duplicates"), none)
        for key, hashes, embedding in zip(keys, perceptual, near, strict=True):
            straight = (hashes or b"")[CONTEXT_BYTES:]
            straight = straight[: len(straight) // 2]  # their mirror images follow
            each = [straight[start : start + HASH_BYTES].hex() for start in range(0, len(straight), HASH_BYTES)]
            vector = embedding and np.frombuffer(embedding[CONTEXT_BYTES:], "<f2").astype(np.float32)
            for number, phash in enumerate(each or [None]):
                yield {"key": key, "phash": phash, "embedding": vector if number == 0 else None}
