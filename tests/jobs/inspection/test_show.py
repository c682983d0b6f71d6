"""What `show` says of the golden conversations and of a prepared sample."""

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.inspection.dialogue import collapse, cut_into_pieces, printable
from pipeline.samples import ImageSpan, TokenSequence
from tests.jobs.inspection.outputs import rewrite, set_value, write_small
from tests.token_output import TEXT_TOKENIZER_PATH, write_output
from tokenizer.grammar import find_images
from tokenizer.text import TextTokenizer

PLACEHOLDER = "<|image|>"


@pytest.fixture(scope="module")
def text():
    return TextTokenizer(TEXT_TOKENIZER_PATH)


def golden_sequence(item, text: TextTokenizer) -> TokenSequence:
    ids = np.array(item["input_ids"], text.vocab.dtype)
    return TokenSequence(item["name"], "conversation", ids, tuple(map(tuple, item["loss_spans"])), find_images(ids, text.vocab))


def test_every_golden_conversation_is_told_word_for_word(golden, text):
    for item in golden["conversations"]:
        sequence = golden_sequence(item, text)
        turns = [""]
        for piece in cut_into_pieces(sequence, text)[1:]:
            if piece.kind == "end of turn":
                turns.append("")
            else:
                turns[-1] += piece.words
        values = [turn["value"] for turn in item["conversations"]]
        if item["images"] and not any(PLACEHOLDER in value for value in values):
            values[0] = f"{PLACEHOLDER} " * len(item["images"]) + values[0]
        for image in sequence.images:
            place = next(number for number, value in enumerate(values) if PLACEHOLDER in value)
            values[place] = values[place].replace(PLACEHOLDER, collapse(image), 1)
        assert turns == [*values, ""]


def test_pieces_cover_the_sequence_without_a_gap(golden, text):
    for item in golden["conversations"]:
        pieces = cut_into_pieces(golden_sequence(item, text), text)
        assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
        assert pieces[-1].stop == len(item["input_ids"])
        assert pieces[-1].speaker == "assistant"


def test_show_prints_turns_borders_spans_and_caption(golden, text, tmp_path, capsys):
    write_output(tmp_path, [golden_sequence(item, text) for item in golden["conversations"]])
    assert main(["inspect", "show", str(tmp_path), "text_to_image"]) == 0
    out = capsys.readouterr().out
    assert "text_to_image · conversation · sequence 0 · 306 tokens, 277 with loss (29..306) · CRC holds" in out
    assert "user        Generate an image of 256x256 according to the following prompt:\n            A portrait, in warm light.\n" in out
    assert "assistant ▌ ⟨image 256x256 @29⟩" in out
    assert "8197 8812 8812" in out  # the image's head
    assert "8803 8196 │ 8710" in out  # its end, and the end of the turn
    assert "there is no row of it" in out


def test_show_tells_what_became_of_a_sample(prepared, capsys):
    assert main(["inspect", "show", str(prepared), "picture_1", "picture_7", "empty"]) == 0
    out = capsys.readouterr().out
    assert out.count("picture_1 · ") == 2  # both tasks
    assert "caption   noise <b>number 1</b> & more of it" in out
    assert "disposition accepted" in out
    assert "picture_7: no shard holds a sequence of it" in out
    assert "reason caption_has_file_name" in out
    assert "reason empty_file" in out


def test_an_unknown_key_is_refused_with_keys_like_it(prepared, capsys):
    assert main(["inspect", "show", str(prepared), "pikture_3"]) == 2
    error = capsys.readouterr().err
    assert "no sample has the key 'pikture_3'" in error
    assert "did you mean 'picture_3'" in error


def test_a_sequence_with_a_wrong_crc_is_shown_and_says_so(tmp_path, capsys):
    write_small(tmp_path)
    rewrite(tmp_path, "shard-00000.arrow", lambda table: set_value(table, "crc32", 0, 1))
    assert main(["inspect", "show", str(tmp_path), "fox"]) == 0
    assert "CRC does not hold" in capsys.readouterr().out


def test_a_broken_sequence_is_shown_as_far_as_it_goes(text):
    ids = np.array([text.vocab.start_of_image, 9000, text.vocab.end_of_turn, text.vocab.end_of_turn, 16_500], np.uint16)
    pieces = cut_into_pieces(TokenSequence("x", "y", ids, (), (ImageSpan(0, 64, 64),)), text)
    assert [(piece.kind, piece.start, piece.stop) for piece in pieces] == [("image", 0, 5)]
    pieces = cut_into_pieces(TokenSequence("x", "y", ids, ()), text)
    assert [piece.kind for piece in pieces] == ["text", "end of turn", "end of turn", "text"]


def test_control_characters_of_a_caption_do_not_reach_the_terminal():
    assert printable("a\x1b[31mred\x07\ttab\nnext café 한") == "a\\x1b[31mred\\x07\\ttab\nnext café 한"
