"""Image shards in img2dataset's layout, which webdataset and open_clip read.

    00000.tar            000000000.jpg  000000000.txt  000000000.json      further pictures by role: 000000000.depth.png
                         the .json also holds detections, poses, generated captions and dialogues, see annotations.py, and the
                         metadata a second time where img2dataset has its own use for a name in them
    00000.parquet        one row per sample that was attempted, failed ones too
    00000_stats.json     counts; written last, so a shard without it is not finished

The same samples give the same bytes: no clock, no user, members in the order of the samples.

Source: img2dataset, `WebDatasetSampleWriter` and `Downloader` (names of files and columns, values of `status`).
"""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotations import ANNOTATIONS, METADATA, to_json
from pipeline.images import FILE_ENDINGS, PictureError, read_header
from pipeline.paths import commit, commit_bytes, exists, join, open_fs
from pipeline.samples import BadSample, ImageHeader, Sample
from pipeline.sources.text import decode_caption

SUCCESS, FAILED_TO_DOWNLOAD, FAILED_TO_RESIZE = "success", "failed_to_download", "failed_to_resize"
NOT_THERE = frozenset(
    ("missing_file", "missing_image", "unreadable_file", "empty_file")
)  # reasons that img2dataset calls a failed download
COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("url", "caption", "key", "status", "error_message")),
        *((name, pa.int32()) for name in ("width", "height", "original_width", "original_height")),
        *((name, pa.string()) for name in ("exif", "sha256")),
    ]
)


@dataclass(slots=True)
class _Shard:
    """What is written so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


def write_image_shard(folder: str, index: int, samples: Iterable[Sample | BadSample]) -> dict[str, Any]:
    """Write one shard, whole or not at all.

    A sample without a usable picture is not in the tar, unless it is a dialogue in words; its row says why.

    Args:
        folder: Where the three files go; local or a URL.
        index: Number of the shard, up to 99,999.

    Returns:
        The statistics, as they stand in the `_stats.json`.

    Raises:
        ValueError: A key has a flaw, as `key_flaw` says, or comes twice.
    """
    shard = _Shard()
    _remove(join(folder, f"{index:05d}_stats.json"))  # of an earlier shard of this number, which is finished no more
    commit(join(folder, f"{index:05d}.tar"), lambda file: _write_tar(file, samples, shard))
    table = _table(shard.rows)
    commit(join(folder, f"{index:05d}.parquet"), lambda file: pq.write_table(table, file))
    statistics = _statistics(shard.rows)
    commit_bytes(join(folder, f"{index:05d}_stats.json"), json.dumps(statistics, indent=4).encode())
    return statistics


def key_flaw(key: str) -> str:
    """Why a sample of this key could not be read again; empty: it can."""
    if not key.rpartition("/")[2]:
        return "it has no name behind its last slash"
    if key.startswith("__"):
        return "it begins with '__', as names do that webdataset passes over"
    mark = next((mark for mark in ".\0" if mark in key), "")
    return f"it has {mark!r}, where a member's key ends" if mark else ""


def _remove(path: str) -> None:
    if exists(path):
        fs, bare = open_fs(path)
        fs.rm_file(bare)


def _write_tar(file: IO[bytes], samples: Iterable[Sample | BadSample], shard: _Shard) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            if isinstance(sample, BadSample):
                shard.rows.append(_row(sample.key, "", sample.metadata, error=(sample.reason, sample.message)))
                continue
            _check(sample, shard.keys)
            try:
                headers = {role: read_header(data) for role, data in sample.images.items()}
                if not headers and not sample.turns:
                    raise PictureError("missing_image", "the sample has no picture")
            except PictureError as error:
                shard.rows.append(_row(sample.key, sample.caption, sample.metadata, error=(error.reason, error.message)))
                continue
            main = sample.main_role
            digest = hashlib.sha256(sample.images[main]).hexdigest() if main else None
            row = _row(sample.key, sample.caption, sample.metadata, headers[main] if main else None, digest)
            shard.rows.append(row)
            for role, header in headers.items():
                ending = FILE_ENDINGS[header.format][0]
                _add(tar, f"{sample.key}.{ending}" if role == "image" else f"{sample.key}.{role}.{ending}", sample.images[role])
            _add(tar, f"{sample.key}.txt", sample.caption.encode())
            _add(tar, f"{sample.key}.json", _json(sample, row))


def _json(sample: Sample, row: Mapping[str, Any]) -> bytes:
    said = to_json(sample)
    if any(row[name] != value for name, value in sample.metadata.items() if name in COLUMNS.names) or ANNOTATIONS in sample.metadata:
        said[METADATA] = dict(sample.metadata)
    is_altered = decode_caption(sample.caption.encode()) != sample.caption  # in the .txt; the annotations say that the one here counts
    return json.dumps({**row, ANNOTATIONS: said} if said or is_altered else row, separators=(",", ":")).encode()


def _check(sample: Sample, keys: set[str]) -> None:
    if flaw := key_flaw(sample.key):
        raise ValueError(f"the key {sample.key!r}: {flaw}")
    if sample.key in keys:
        raise ValueError(f"the key {sample.key!r} comes twice")
    keys.add(sample.key)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # mtime 0, mode 0644, no user
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
    tar.members = []  # type: ignore[attr-defined]  # it would keep every header


def _row(
    key: str,
    caption: str,
    metadata: Mapping[str, Any],
    header: ImageHeader | None = None,
    sha256: str | None = None,
    error: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """A sample's row: img2dataset's columns, then what else the metadata say. `error` is a reason and a message."""
    failure = FAILED_TO_DOWNLOAD if error and error[0] in NOT_THERE else FAILED_TO_RESIZE
    width, height = (header.width, header.height) if header else (None, None)
    row = {
        "url": _text(metadata.get("url")),
        "caption": caption,
        "key": key,
        "status": failure if error else SUCCESS,
        "error_message": ": ".join(part for part in error if part) if error else None,
        "width": width,
        "height": height,
        "original_width": _integer(metadata.get("original_width"), width),
        "original_height": _integer(metadata.get("original_height"), height),
        "exif": _text(metadata.get("exif")),
        "sha256": sha256,
    }
    return row | {name: value for name, value in metadata.items() if name not in row}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _integer(value: Any, otherwise: int | None) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else otherwise


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    others = list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS.names))
    arrays = [pa.array([row[name] for row in rows], COLUMNS.field(name).type) for name in COLUMNS.names]
    arrays += [_column([row.get(name) for row in rows]) for name in others]
    return pa.Table.from_arrays(arrays, names=[*COLUMNS.names, *others])


def _column(values: list[Any]) -> pa.Array:
    """Values of one kind as they are; a mixture, or what is no scalar, as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {str}:
        return pa.array(values, pa.string() if not kinds else None)
    if kinds <= {int, float} and all(abs(value) < 2**53 for value in values if type(value) is int):  # beyond, floats skip whole numbers
        return pa.array(values, pa.float64() if float in kinds else pa.int64())
    if kinds <= {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else json.dumps(value, ensure_ascii=False) for value in values], pa.string())


def _statistics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = Counter(row["status"] for row in rows)
    messages = Counter((row["error_message"] or SUCCESS).partition(":")[0] for row in rows)
    return {
        "count": len(rows),
        "successes": statuses[SUCCESS],
        "failed_to_download": statuses[FAILED_TO_DOWNLOAD],
        "failed_to_resize": statuses[FAILED_TO_RESIZE],
        "duration": 0.0,  # no clock, see above
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": dict(sorted(messages.items())),
    }
