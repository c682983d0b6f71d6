"""The totals, for people and for machines."""

import json

from jobs.__main__ import main
from jobs.inspection.info import collect_info
from tests.jobs.inspection.outputs import small_sequences, write_small
from tests.token_output import write_output


def test_the_totals_are_those_of_the_sequences(tmp_path):
    info = collect_info(str(write_small(tmp_path)))
    sequences = small_sequences()
    assert info["sequences"] == 5
    assert info["shards"] == 3
    assert info["tokens"] == sum(len(sequence.input_ids) for sequence in sequences)
    assert info["loss_tokens"] == sum(sequence.num_loss_tokens for sequence in sequences)
    assert info["bytes"] == sum(path.stat().st_size for path in (tmp_path / "tokens").glob("shard-*.arrow"))
    assert info["token_dtype"] == "uint16"
    assert {name: group["sequences"] for name, group in info["tasks"].items()} == {"text_to_image": 3, "captioning": 1, "text_only": 1}
    assert {name: group["sequences"] for name, group in info["buckets"].items()} == {"64x64": 2, "96x32": 2, "": 1}
    assert info["longest_sequence"] == max(len(sequence.input_ids) for sequence in sequences)


def test_json_is_for_machines(prepared, capsys):
    assert main(["inspect", "info", str(prepared), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["samples"] == {"input": 10, "accepted": 6, "rejected": 2, "failed": 2}
    assert len(info["recipe"]) == len(info["vq"]["fingerprint"]) == len(info["vocabulary"]["fingerprint"]) == 64


def test_people_get_a_table(prepared, capsys):
    assert main(["inspect", "info", str(prepared)]) == 0
    out = capsys.readouterr().out
    assert "10 in: 6 accepted, 2 rejected, 2 failed" in out
    assert "12 in 1 shard," in out
    assert "text_to_image" in out and "captioning" in out


def test_an_output_without_sequences_has_totals_too(tmp_path, capsys):
    write_output(tmp_path, [])
    assert main(["inspect", "info", str(tmp_path)]) == 0
    assert "sequences   0 in 1 shard" in capsys.readouterr().out
