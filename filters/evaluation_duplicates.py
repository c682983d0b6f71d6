"""Keep evaluation pictures out of the training data: drop samples that are near one of a table.

    column     type              what
    key        string            optional: its name
    phash      string            16 hexadecimal digits, as str(imagehash.phash(image)) writes them; null for a picture without a hash
    embedding  list of floats    optional: from the same CLIP model as the run's; null where there is none

`mgpt signatures FOLDER TABLE` makes such a table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.libraries import require
from filters.near_duplicates import EMBEDDING
from filters.neighbours.embedding_pairs import unit
from filters.neighbours.hash_pairs import BITS
from filters.neighbours.picture_hash import picture_hash
from filters.pictures import judged_roles, read_picture
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs


@dataclass(frozen=True)
class EvaluationDuplicates:
    """Keep a sample of which no picture is near one of the table's, by hash, or by embedding where `embeddings` are compared, too.

    Each sample is judged by itself, so nothing hangs on the rest of the run. A picture without a hash (see picture_hash) is near none.
    """

    scores: ClassVar[tuple[str, ...]] = ("evaluation_distance", "evaluation_distance_mirrored", "evaluation_cosine")
    needs: ClassVar[Needs] = Needs()
    thresholds: ClassVar[Mapping[str, str]] = {"max_distance": "evaluation_distance", "min_cosine": "evaluation_cosine"}
    measured_by: ClassVar[tuple[str, ...]] = ("table", "embeddings", "roles")
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {"max_distance": (0, BITS), "min_cosine": (0.5, 1.0)}

    table: str  # a parquet file
    max_distance: int = 4  # bits of 64 by which a hash is that of the same picture
    mirrored: bool = True  # a mirror image, left for right, is the same picture
    embeddings: bool = False  # compare embeddings, too; the table has some
    min_cosine: float = 0.97  # of two embeddings, from which on they mean the same
    roles: tuple[str, ...] = ()  # pictures to look at; empty: image, image_1, ...

    @property
    def needs_clip(self) -> bool:
        return self.embeddings

    def check(self) -> None:
        require("evaluation_duplicates", "imagehash", "scipy")
        wanted = {"phash"} | ({"embedding"} if self.embeddings else set())
        try:
            fs, path = paths.open_fs(self.table)
            with fs.open(path, "rb") as file:
                names = set(pq.read_schema(file).names)
        except (FileNotFoundError, IsADirectoryError, pa.ArrowInvalid) as error:
            raise RecipeError(f"filter evaluation_duplicates: {self.table} is no parquet file ({error})") from error
        if missing := sorted(wanted - names):
            raise RecipeError(f"filter evaluation_duplicates: {self.table} has no column {missing[0]}, but {', '.join(sorted(names))}")
        if not len(self._read_hashes()) or (self.embeddings and not len(self._read_embeddings())):
            raise RecipeError(f"filter evaluation_duplicates: {self.table} has nothing to compare with")

    def fingerprint(self) -> str:
        """sha256 of the table."""
        return paths.sha256(self.table)

    def setup(self) -> None:
        """Read the table before the first sample comes."""
        _ = self._hashes_E, self.embeddings and self._embeddings_ED

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [Measured(self._measure(sample)) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        distances = [scores["evaluation_distance"]] if "evaluation_distance" in scores else []
        if self.mirrored and "evaluation_distance_mirrored" in scores:
            distances.append(scores["evaluation_distance_mirrored"])
        is_near = any(distance <= self.max_distance for distance in distances)
        return "evaluation_picture" if is_near or scores.get("evaluation_cosine", -1.0) >= self.min_cosine else ""

    def _measure(self, sample: Sample) -> dict[str, float]:
        """Of the nearest evaluation picture: differing bits, also of the mirror image, and the cosine."""
        scores: dict[str, float] = {}
        for role in judged_roles(sample, self.roles):
            hashes = read_picture(sample, role, picture_hash)
            for name, each in zip(self.scores[:2], hashes, strict=True) if hashes else ():
                distance = float(np.bitwise_count(self._hashes_E ^ np.frombuffer(each, np.uint64)).min())
                scores[name] = min(distance, scores.get(name, BITS))
        if self.embeddings and EMBEDDING in sample.embeddings:
            scores["evaluation_cosine"] = self._cosine(sample.embeddings[EMBEDDING])
        return scores

    def _cosine(self, embedding_D: np.ndarray) -> float:
        known, given = self._embeddings_ED.shape[1], len(embedding_D)
        if known != given:
            raise RecipeError(f"filter evaluation_duplicates: {self.table} has embeddings of {known} dimensions, the run's have {given}")
        return float((self._embeddings_ED @ unit(embedding_D[None])[0]).max())

    @cached_property
    def _hashes_E(self) -> np.ndarray:
        return self._read_hashes()

    @cached_property
    def _embeddings_ED(self) -> np.ndarray:
        return self._read_embeddings()

    def _read_hashes(self) -> np.ndarray:
        """[E] uint64"""
        values = self._column("phash")
        if odd := next((each for each in values if not re.fullmatch("[0-9a-f]{16}", str(each))), None):
            raise RecipeError(f"filter evaluation_duplicates: {self.table}: phash: 16 hexadecimal digits are wanted, got {odd!r}")
        return np.frombuffer(bytes.fromhex("".join(values)), np.uint64)

    def _read_embeddings(self) -> np.ndarray:
        """[E, D] float32, of length 1"""
        values = self._column("embedding")
        if len({len(each) for each in values}) > 1:
            raise RecipeError(f"filter evaluation_duplicates: {self.table}: embedding: not all are of the same length")
        return unit(np.array(values, np.float32)) if values else np.zeros((0, 0), np.float32)

    def _column(self, name: str) -> list[Any]:
        fs, path = paths.open_fs(self.table)
        with fs.open(path, "rb") as file:
            return pq.read_table(file, columns=[name])[name].drop_null().to_pylist()
