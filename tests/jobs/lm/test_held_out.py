"""Held-out samples: drawn by key, whole, and the same wherever the keys lie."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.lm.held_out import hash_strings, split_held_out
from pipeline.shards.reader import TokenShards
from tests.jobs.lm.tiny import text_to_image_sequences
from tests.token_output import write_output

KEYS = [
    "",
    "a",
    "b",
    "1234567",
    "12345678",
    "123456789",
    "sample-000001",
    "sample-000002",
    "x" * 16,
    "x" * 17,
    "schön",
    "写真",
    "a\0",
    "a\0\0",
]


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_held_out_samples_are_drawn_by_key_and_trained_on_by_nobody(tmp_path, fraction):
    sequences = text_to_image_sequences(200)
    write_output(tmp_path, sequences + text_to_image_sequences(200)[:100], rows_per_shard=90)  # a hundred samples feed two sequences
    shards = TokenShards(str(tmp_path))
    trained_on, held_out = split_held_out(shards, fraction, seed=0)
    assert sorted([*trained_on, *held_out]) == list(range(300))
    assert abs(len(held_out) - 300 * fraction) <= 25 * bool(fraction)
    keys = [set(shards.read(int(number)).key for number in numbers) for numbers in (trained_on, held_out)]
    assert not keys[0] & keys[1]


def test_another_seed_holds_out_others(tmp_path):
    write_output(tmp_path, text_to_image_sequences(200))
    shards = TokenShards(str(tmp_path))
    once = split_held_out(shards, 0.2, seed=0)[1].tolist()
    assert split_held_out(shards, 0.2, seed=0)[1].tolist() == once
    assert split_held_out(shards, 0.2, seed=1)[1].tolist() != once
    assert set(once) < set(split_held_out(shards, 0.4, seed=0)[1].tolist())


def plain_hash(key: str, seed: int) -> int:
    """The same, one key at a time."""
    mask = (1 << 64) - 1

    def mix(word: int) -> int:
        word = (word + 0x9E3779B97F4A7C15) & mask
        word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ word >> 27) * 0x94D049BB133111EB) & mask
        return word ^ word >> 31

    data = key.encode()
    state = mix(len(data) ^ seed)
    for start in range(0, len(data), 8):
        state = mix(state ^ int.from_bytes(data[start : start + 8], "little"))
    return state


def test_all_keys_at_once_are_hashed_as_one_by_one():
    for seed in (0, 1, (1 << 64) - 1):
        hashes = hash_strings(pa.chunked_array([KEYS]), seed).tolist()
        assert hashes == [plain_hash(key, seed) for key in KEYS]
        assert len(set(hashes)) == len(KEYS)


def test_a_hash_does_not_depend_on_what_lies_beside_it():
    column = pa.chunked_array([KEYS])
    hashes = hash_strings(column, 3).tolist()
    assert hash_strings(pa.chunked_array([KEYS[:5], [], KEYS[5:]]), 3).tolist() == hashes
    assert hash_strings(column.slice(4, 6), 3).tolist() == hashes[4:10]
    assert hash_strings(pa.chunked_array([], pa.string()), 3).tolist() == []


def test_hashes_of_numbered_keys_are_spread_evenly():
    hashes = hash_strings(pa.chunked_array([[f"{number:09}" for number in range(20_000)]]), 0)
    for shift in (0, 20, 60):
        counts = np.bincount((hashes >> np.uint64(shift) & np.uint64(15)).astype(int), minlength=16)
        assert abs(counts - 1250).max() < 6 * 1250**0.5
