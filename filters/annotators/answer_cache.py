"""Answers on disk, one small file each, so that a run that begins again pays for nothing twice.

    CACHE/ab/cdef0123....json     named by the sha256 of the whole request

A file appears whole or not at all, so several processes, on several machines with a shared folder, may write at once, and may be killed.
Two that ask the same at the same time both write; either answer will do.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from filters.annotators.answers import Answer
from pipeline import paths


def request_digest(request: Mapping[str, Any]) -> str:
    """sha256 in hex of what JSON can hold: whatever an answer may depend on."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class AnswerCache:
    """Answers by the digest of their request."""

    folder: str  # fsspec path

    def get(self, digest: str) -> Answer | None:
        """The answer; None where there is none, or none that can be read: then it is asked for again."""
        path = self._path(digest)
        if not paths.exists(path):
            return None
        try:
            return Answer(**json.loads(paths.read_bytes(path))["answer"])
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, digest: str, request: Mapping[str, Any], answer: Answer) -> None:
        """Keep an answer, with its request for those who look."""
        content = {"answer": asdict(answer), "request": request}
        paths.commit_bytes(self._path(digest), json.dumps(content, sort_keys=True).encode())

    def _path(self, digest: str) -> str:
        return paths.join(self.folder, digest[:2], f"{digest[2:]}.json")
