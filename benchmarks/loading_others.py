"""Token samples in the formats of the field, written and read by the libraries themselves: ids, loss spans and caption each.

    pickles       a file a sample with lists of numbers, as Lumina-mGPT's `pre_tokenize.py` writes: {"token": [...], "label": [...]}
    webdataset    a tar with NAME.ids.npy, NAME.spans.npy and NAME.json
    MDS           mosaicml-streaming's shards, columns of numpy arrays and a string
    litdata       its chunks, a dictionary a sample
    datasets      Hugging Face's Arrow table on the disk

A function writes the samples into a folder and gives a reader: numbers in, arrays of ids out. Only what this process wrote is unpickled.
"""

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.samples import TokenSequence

SHUFFLE = 1000  # samples in webdataset's buffer
CHUNK = 64 << 20  # bytes of a shard of MDS and of litdata

Read = Callable[[Sequence[int]], Iterator[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a trainer needs of a sample."""

    key: str
    ids: np.ndarray
    spans: np.ndarray  # [N, 2] uint32
    labels: np.ndarray
    caption: str

    @classmethod
    def of(cls, sequence: TokenSequence) -> "Stored":
        spans = np.array(sequence.loss_spans, np.uint32)
        return cls(sequence.key, sequence.input_ids, spans, sequence.labels, sequence.caption)


def pickles(folder: Path, samples: Sequence[Stored]) -> Read:
    """A file a sample."""
    folder.mkdir()
    for number, sample in enumerate(samples):
        row = {"token": sample.ids.tolist(), "label": sample.labels.tolist(), "id": sample.key, "caption": sample.caption}
        (folder / f"{number}.pkl").write_bytes(pickle.dumps(row))
    dtype = samples[0].ids.dtype

    def read(order: Sequence[int]) -> Iterator[np.ndarray]:
        for number in order:
            with open(folder / f"{number}.pkl", "rb") as file:
                yield np.array(pickle.load(file)["token"], dtype)

    return read


def webdataset(folder: Path, samples: Sequence[Stored]) -> Read:
    """One tar."""
    import webdataset as wds

    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for sample in samples:
            caption = json.dumps({"caption": sample.caption}).encode()
            for ending, data in (("ids.npy", npy(sample.ids)), ("spans.npy", npy(sample.spans)), ("json", caption)):
                member = tarfile.TarInfo(f"{sample.key}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

    def read(order: Sequence[int]) -> Iterator[np.ndarray]:
        """In an order of its own."""
        url = str(folder / "0.tar")
        for sample in wds.WebDataset(url, shardshuffle=False, empty_check=False).shuffle(SHUFFLE):
            json.loads(sample["json"])
            np.load(io.BytesIO(sample["spans.npy"]), allow_pickle=False)
            yield np.load(io.BytesIO(sample["ids.npy"]), allow_pickle=False)

    return read


def mds(folder: Path, samples: Sequence[Stored]) -> Read:
    """mosaicml-streaming."""
    from streaming import MDSWriter, StreamingDataset

    columns = {"ids": f"ndarray:{samples[0].ids.dtype.name}", "spans": "ndarray:uint32", "caption": "str"}
    with MDSWriter(out=str(folder), columns=columns, size_limit=CHUNK) as writer:
        for sample in samples:
            writer.write({"ids": sample.ids, "spans": sample.spans, "caption": sample.caption})
    dataset = StreamingDataset(local=str(folder), shuffle=False, batch_size=1)
    return lambda order: (dataset[number]["ids"] for number in order)


def litdata(folder: Path, samples: Sequence[Stored]) -> Read:
    """Lightning's."""
    from litdata import StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_bytes=CHUNK)
    for number, sample in enumerate(samples):
        writer.add_item(number, {"ids": sample.ids, "spans": sample.spans, "caption": sample.caption})
    writer.done()
    writer.merge(1)
    dataset = StreamingDataset(str(folder))
    return lambda order: (np.asarray(dataset[number]["ids"]) for number in order)


def hugging_face(folder: Path, samples: Sequence[Stored]) -> Read:
    """`datasets`."""
    import datasets

    datasets.disable_progress_bars()
    columns = {
        "ids": [sample.ids for sample in samples],
        "spans": [sample.spans.flatten() for sample in samples],
        "caption": [sample.caption for sample in samples],
    }
    datasets.Dataset.from_dict(columns).save_to_disk(str(folder))
    dataset = datasets.load_from_disk(str(folder)).with_format("numpy")
    dtype = samples[0].ids.dtype
    return lambda order: (dataset[int(number)]["ids"].astype(dtype, copy=False) for number in order)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


FORMATS: dict[str, Callable[[Path, Sequence[Stored]], Read]] = {
    "pickles, one a sample": pickles,
    "webdataset, a shuffle buffer": webdataset,
    "MDS": mds,
    "litdata": litdata,
    "datasets": hugging_face,
}
