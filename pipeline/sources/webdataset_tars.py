"""Tars of samples: webdataset's rules, img2dataset's names.

    00000.tar    000000000.jpg   000000000.txt   000000000.json        one sample: members side by side, one key
                 000000001.jpg   000000001.depth.png   ...             further pictures, by role

Of LAION's tables img2dataset keeps the columns that it was told to, in the .json: {"url": ..., "caption": ..., "similarity": 0.31,
"punsafe": 0.001, "pwatermark": 0.05, "top_caption": ..., "all_captions": [...], ...}. `caption_field` takes the caption from one of them.

The key is a member's name up to the first dot after its last slash; what follows is its ending, in lower case. Names that begin with "__"
and names without a key or an ending are no samples. A key whose members lie apart would be cut into fragments by webdataset: here all of
them fail, for neither the picture nor the caption can be trusted.

Source: rom1504/img2dataset, writer.py (the members) and dataset_examples/laion-coco.md (the columns).
"""

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from pipeline.annotations import ANNOTATIONS, METADATA, from_json
from pipeline.errors import RecipeError
from pipeline.paths import exists, is_local, read_bytes, size
from pipeline.samples import BadSample, Sample
from pipeline.sources.listing import PICTURE_ENDINGS, list_inputs, sizes
from pipeline.sources.tar_groups import Group, count_groups, find_groups
from pipeline.sources.tar_index import BLOCK, open_tar
from pipeline.sources.text import decode_caption, escape, is_clean
from pipeline.sources.unit import Unit, cut_into_units


@dataclass(frozen=True)
class WebDataset:
    """Every sample of the tars that `path` names."""

    path: str  # a tar, a folder of them, a glob, {00000..00012}, several joined by "::"
    caption_field: str = ""  # of the .json, for example "top_caption", first of the list if it is one; empty: the .txt, or else "caption"

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for path in self._files:
            num_samples = _guess_num_samples(path, unit_size)
            slices = cut_into_units(path, num_samples, unit_size, first_index=len(units)) or [Unit(len(units), path, 0, None)]
            last = slices[-1]
            units += [*slices[:-1], Unit(last.index, path, last.start, None)]  # to the end, whatever was guessed: nothing is lost
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        with open_tar(unit.path) as file:
            groups, damage = find_groups(file, unit.path, unit.start, unit.stop)
            for group in groups:
                yield BadSample(group.key, group.reason, group.message) if group.reason else _read_sample(file, group, self.caption_field)
        if damage is not None:
            key = f"{posixpath.basename(unit.path).split('.')[0]}@{damage.offset}"
            yield BadSample(key, "corrupt_tar", escape(f"{unit.path}, byte {damage.offset}: {damage.message}; the rest is lost"))

    def fingerprint(self) -> dict[str, str]:
        return sizes(self._files)

    @cached_property
    def _files(self) -> list[str]:
        return list_inputs(self.path, ending=".tar")


def _guess_num_samples(path: str, unit_size: int) -> int:
    """How many samples a tar holds: as img2dataset says beside it, or by its headers; 0 where it is small or not local."""
    if size(path) <= unit_size * BLOCK:
        return 0  # too small for more than one unit
    stats = f"{path.removesuffix('.tar')}_stats.json"
    if exists(stats):
        try:
            return int(json.loads(read_bytes(stats))["successes"])
        except (ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"{stats}: no statistics of img2dataset ({type(error).__name__}: {error})") from error
    if not is_local(path):
        return 0
    with open_tar(path) as file:
        return count_groups(file, path)


def _read_sample(file: IO[bytes], group: Group, caption_field: str) -> Sample | BadSample:
    caption: Any = None
    metadata: dict[str, Any] = {}
    pictures: dict[str, bytes] = {}
    for ending, member in group.members:
        role, _, last = ending.partition(".")
        if ending != "txt" and ending != "json" and (last.rpartition(".")[2] or role) not in PICTURE_ENDINGS:
            continue
        file.seek(member.offset)
        data = file.read(member.size)
        if ending == "txt":
            try:
                caption = decode_caption(data)
            except UnicodeDecodeError:
                return BadSample(group.key, "caption_not_utf8", escape(data)[:200])
        elif ending == "json":
            try:
                metadata = json.loads(data)
            except (ValueError, RecursionError) as error:
                return BadSample(group.key, "bad_json", f"{escape(member.name)}: {error}")
            if not isinstance(metadata, dict):
                return BadSample(group.key, "bad_json", f"{escape(member.name)}: wants an object, got {escape(str(metadata))[:200]}")
        elif (role := role if last else "image") in pictures:
            return BadSample(group.key, "duplicate_member", f"more than one picture for the role {role}")
        else:
            pictures[role] = data
    is_ours = ANNOTATIONS in metadata
    try:
        said = from_json(metadata.pop(ANNOTATIONS, {}))
    except ValueError as error:
        return BadSample(group.key, "bad_field", f"{ANNOTATIONS}: {error}")
    if not pictures and not said.get("turns"):
        return BadSample(group.key, "missing_image", f"members: {', '.join(ending for ending, _ in group.members)}")
    if caption_field:
        if caption_field not in metadata:
            return BadSample(group.key, "missing_caption", escape(f"no {caption_field} in the .json, only {', '.join(metadata)}")[:200])
        caption = metadata[caption_field]
        caption = (caption[0] if caption else "") if isinstance(caption, list) else caption or ""
    elif caption is None:
        caption = metadata.get("caption") or ""
    elif is_ours and isinstance(whole := metadata.get("caption"), str) and is_clean(whole) and decode_caption(whole.encode()) == caption:
        caption = whole  # with the line ends that a .txt does not keep
    if not isinstance(caption, str):
        return BadSample(group.key, "bad_field", f"{caption_field or 'caption'} is no string but {caption!r}"[:200])
    if not is_clean(caption):
        return BadSample(group.key, "caption_not_utf8", escape(caption)[:200])
    told = (("key", group.key), ("caption", caption))  # no need to say it twice
    metadata = said.pop(METADATA, {k: v for k, v in metadata.items() if (k, v) not in told})
    if not is_clean(metadata):
        return BadSample(group.key, "metadata_not_utf8", escape(str(metadata))[:200])
    return Sample(group.key, caption, pictures, metadata=metadata, **said)
