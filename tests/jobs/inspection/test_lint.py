"""Every kind of damage is found, named by key or file, and ends with exit code 6."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jobs.__main__ import main
from jobs.inspection.lint import Lint, lint
from pipeline.errors import MgptError, VerificationError
from pipeline.samples import ImageSpan
from pipeline.shards.reader import TokenShards
from tests.jobs.inspection.outputs import change_ids, edit_manifest, rewrite, set_value, small_sequences, write_small
from tests.token_output import TEXT_TOKENIZER_PATH, write_output
from tokenizer.vocab import load_vocab

VOCAB = load_vocab(TEXT_TOKENIZER_PATH)
FOX_IMAGE = small_sequences()[0].images[0]


def put(position: int, token_id: int):
    def edit(ids: np.ndarray) -> None:
        ids[position] = token_id

    return edit


def put_spans(number: int, *spans: tuple[int, int]):
    def change(sequences):
        sequences[number] = replace(sequences[number], loss_spans=spans)
        return sequences

    return change


def put_images(number: int, *images: ImageSpan):
    def change(sequences):
        sequences[number] = replace(sequences[number], images=images)
        return sequences

    return change


def double(sequences):
    return [*sequences, replace(sequences[2], caption="once more")]


LENGTH = len(small_sequences()[0].input_ids)
[(LOSS_START, LOSS_STOP)] = small_sequences()[0].loss_spans
SEQUENCE_DAMAGES = {
    "wrong size token": (change_ids(0, put(FOX_IMAGE.start + 1, VOCAB.sizes[3])), "fox (text_to_image): image 0"),
    "sides exchanged": (change_ids(3, lambda ids: swap(ids, 3)), "owl (text_to_image): image 0"),
    "missing line break": (change_ids(0, put(FOX_IMAGE.start + 3 + 4, VOCAB.codes[7])), "row 0 does not end in a line break"),
    "line break lost": (change_ids(0, lambda ids: np.delete(ids, FOX_IMAGE.start + 7)), "fox (text_to_image)"),
    "id off range": (change_ids(0, put(3, VOCAB.size)), f"id {VOCAB.size} is outside the vocabulary"),
    "no code in an image": (change_ids(0, put(FOX_IMAGE.start + 3, 16_500)), "id 16500 in row 0, column 0 is no image code"),
    "code in the text": (change_ids(2, put(2, VOCAB.codes[0])), "primes (text_only): id"),
    "no end of image": (change_ids(0, put(LENGTH - 2, VOCAB.end_of_row)), "where the image should end"),
    "no end of turn": (change_ids(2, lambda ids: ids[:-1]), "not in end-of-turn"),
    "no begin of sequence": (change_ids(2, lambda ids: ids[1:]), "begin-of-sequence"),
    "two begins": (change_ids(2, put(3, VOCAB.bos)), "begin-of-sequence"),
    "span off the end": (put_spans(0, (LOSS_START, LOSS_STOP + 1)), f"past the end at {LENGTH}"),
    "span in the wrong place": (put_spans(0, (LOSS_START + 1, LOSS_STOP)), "are not the assistant's turns"),
    "empty span": (put_spans(0, (LOSS_START, LOSS_START)), "is empty"),
    "empty loss": (put_spans(0), "fox (text_to_image): no token takes loss"),
    "image column says another size": (put_images(0, replace(FOX_IMAGE, height=96)), "fox (text_to_image): image 0"),
    "image column says another place": (put_images(0, replace(FOX_IMAGE, start=FOX_IMAGE.start + 1)), "does not begin with start-of-image"),
    "image column lacks an image": (put_images(0), "no stored image covers it"),
    "image column has an image too many": (put_images(2, ImageSpan(1, 32, 32)), "primes (text_only): image 0"),
    "duplicate key": (double, "primes: 2 sequences of task text_only have this key and repeat 0"),
}


def swap(ids: np.ndarray, number: int) -> None:
    start = small_sequences()[number].images[0].start
    ids[[start + 1, start + 2]] = ids[[start + 2, start + 1]]


@pytest.mark.parametrize("name", SEQUENCE_DAMAGES)
def test_a_sequence_that_breaks_the_grammar_is_named(tmp_path, capsys, name):
    change, words = SEQUENCE_DAMAGES[name]
    write_small(tmp_path, change)
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    assert words in capsys.readouterr().out


def test_good_shards_give_one_line_and_exit_code_0(tmp_path, capsys):
    write_small(tmp_path)
    assert main(["inspect", "lint", str(tmp_path)]) == 0
    assert main(["inspect", "lint", str(tmp_path / "tokens")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert (
        "5 sequences" in lines[0]
        and "in 3 shards; 5 accepted + 0 rejected + 0 failed = 5 input; every sequence keeps the grammar" in lines[0]
    )


def test_an_output_without_sequences_is_good(tmp_path):
    write_output(tmp_path, [])
    assert main(["inspect", "lint", str(tmp_path)]) == 0


def test_repeats_of_a_sample_are_told_apart_by_their_number(tmp_path):
    def repeat(sequences):
        return [*sequences, replace(sequences[2], metadata={"repeat": 1}), replace(sequences[2], metadata={"repeat": 2})]

    write_small(tmp_path, repeat)
    assert main(["inspect", "lint", str(tmp_path)]) == 0


def test_a_crc_that_does_not_hold_is_named(tmp_path):
    write_small(tmp_path)
    rewrite(tmp_path, "shard-00001.arrow", lambda table: set_value(table, "crc32", 1, 12345))
    assert lint(str(tmp_path)).findings.shown == ["owl (text_to_image): the CRC of its ids is not the one stored"]


INDEX_DAMAGES = {
    ("shard", 1): "fox (captioning): the index says shard 1, the shard 0",
    ("row", 3): "owl (text_to_image): the index says row 3, the shard 1",
    ("tokens", 7): "primes (text_only): the index says tokens 7, the shard 9",
    ("loss_tokens", 0): "primes (text_only): the index says loss_tokens 0, the shard 3",
    ("task", "dense"): "primes (text_only): the index says task dense, the shard text_only",
    ("bucket", "96x96"): "owl (text_to_image): the index says bucket 96x96, the shard 96x32",
}
INDEX_ROWS = {"shard": 1, "row": 3, "tokens": 2, "loss_tokens": 2, "task": 2, "bucket": 3}


@pytest.mark.parametrize("column, value", INDEX_DAMAGES)
def test_an_index_row_that_disagrees_with_its_shard_is_named(tmp_path, column, value):
    write_small(tmp_path)
    rewrite(tmp_path, "index.arrow", lambda table: set_value(table, column, INDEX_ROWS[column], value))
    findings = lint(str(tmp_path)).findings
    assert findings.total == 1
    assert findings.shown[0].startswith(INDEX_DAMAGES[column, value].split(", the shard")[0])


def test_an_index_that_lacks_a_row_is_refused(tmp_path):
    write_small(tmp_path)
    rewrite(tmp_path, "index.arrow", lambda table: table.slice(0, 4))
    assert main(["inspect", "lint", str(tmp_path)]) == 6


@pytest.mark.parametrize("name", ["rows", "tokens", "loss_tokens"])
def test_a_manifest_that_miscounts_a_shard_is_caught(tmp_path, capsys, name):
    write_small(tmp_path)

    def change(manifest):
        first, second, *others = manifest.shards
        less = replace(first, **{name: getattr(first, name) - 1})
        more = replace(second, **{name: getattr(second, name) + 1})  # so that the sum still agrees
        return replace(manifest, shards=(less, more, *others))

    edit_manifest(tmp_path, change)
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    assert "shard-00000.arrow: the manifest states" in capsys.readouterr().out


MANIFEST_DAMAGES = {
    "counts that do not add up": (lambda m: replace(m, counts={**m.counts, "rejected": 1}), "does not add up"),
    "another vocabulary": (lambda m: replace(m, vocabulary={**m.vocabulary, "fingerprint": "ab"}), "the vocabulary's fingerprint is ab"),
    "another hash of a shard": (
        lambda m: replace(m, shards=(replace(m.shards[0], sha256="ab"), *m.shards[1:])),
        "shard-00000.arrow: sha256",
    ),
}


@pytest.mark.parametrize("name", MANIFEST_DAMAGES)
def test_a_manifest_that_contradicts_the_files_is_caught(tmp_path, capsys, name):
    change, words = MANIFEST_DAMAGES[name]
    write_small(tmp_path)
    edit_manifest(tmp_path, change)
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    assert words in capsys.readouterr().out


def test_metadata_that_is_no_json_is_named(tmp_path):
    write_small(tmp_path)
    rewrite(tmp_path, "shard-00000.arrow", lambda table: set_value(table, "metadata", 0, "{"))
    rewrite(tmp_path, "shard-00001.arrow", lambda table: set_value(table, "metadata", 0, "[1]"))
    shown = lint(str(tmp_path)).findings.shown
    assert [line.split(":")[0] for line in shown] == ["fox (text_to_image)", "primes (text_only)"]


@pytest.mark.parametrize("name", ["shard-00001.arrow", "index.arrow", "text_tokenizer.json"])
def test_a_missing_file_is_named(tmp_path, capsys, name):
    write_small(tmp_path)
    (tmp_path / "tokens" / name).unlink()
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    assert name in capsys.readouterr().err


def test_a_shard_of_other_columns_is_named(tmp_path, capsys):
    write_small(tmp_path)
    rewrite(tmp_path, "shard-00000.arrow", lambda table: table.drop_columns(["caption"]))
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    assert "shard-00000.arrow: the columns are" in capsys.readouterr().err


def test_missing_values_are_refused(tmp_path):
    write_small(tmp_path)
    rewrite(tmp_path, "shard-00000.arrow", lambda table: set_value(table, "caption", 0, None))
    with pytest.raises(VerificationError, match=r"shard-00000.arrow: 1 values are missing in column caption"):
        lint(str(tmp_path))


@pytest.mark.parametrize("name", ["shard-00000.arrow", "index.arrow"])
def test_one_flipped_bit_anywhere_is_found_and_never_a_traceback(tmp_path, name):
    write_small(tmp_path)
    path = tmp_path / "tokens" / name
    good = path.read_bytes()
    rng = np.random.default_rng(5)
    regions = [(0, 700), (len(good) - 700, len(good)), (0, len(good))]  # the schema, the footer, anywhere
    for start, stop in regions:
        for _ in range(25):
            place, bit = int(rng.integers(max(start, 0), stop)), int(rng.integers(8))
            damaged = bytearray(good)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                total = lint(str(tmp_path)).findings.total
            except MgptError as error:
                assert isinstance(error, VerificationError), (place, bit, error)
            else:
                assert total, (place, bit)


def test_at_most_20_findings_are_printed_and_all_are_counted(tmp_path, capsys):
    [fox, *_] = small_sequences()
    write_output(tmp_path, [replace(fox, key=f"fox {number}", loss_spans=()) for number in range(33)])
    assert main(["inspect", "lint", str(tmp_path)]) == 6
    out = capsys.readouterr().out
    assert "33 problems" in out
    assert out.count("no token takes loss") == 20
    assert "and 13 more" in out


def test_a_folder_without_shards_is_a_wrong_command_line(tmp_path, capsys):
    assert main(["inspect", "lint", str(tmp_path)]) == 2
    assert "no token shards here" in capsys.readouterr().err


@pytest.mark.parametrize("tokens_a_step", [1, 60, 100, 1000])  # less than a sequence, one, two, all
def test_shards_of_many_steps_are_looked_at_to_the_end(tmp_path, tokens_a_step):
    [fox, *_] = small_sequences()
    sequences = [replace(fox, key=str(number)) for number in range(9)]
    broken = replace(sequences[8], input_ids=sequences[8].input_ids[:-1])
    write_output(tmp_path, [*sequences[:8], broken])
    linted = Lint(TokenShards(str(tmp_path)), VOCAB, tokens_a_step=tokens_a_step)
    linted.run()
    assert {line.split(" ")[0] for line in linted.findings.shown} == {"8"}


def test_an_index_of_a_dictionary_out_of_range_is_refused(tmp_path):
    write_small(tmp_path)

    def change(table: pa.Table) -> pa.Table:
        column = table["task"].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        indices = pa.array([99] * len(column), pa.int16())
        return table.set_column(4, "task", pa.DictionaryArray.from_arrays(indices, column.dictionary, safe=False))

    rewrite(tmp_path, "index.arrow", change)
    with pytest.raises(VerificationError, match=r"index.arrow: damaged"):
        lint(str(tmp_path))
