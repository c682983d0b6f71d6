"""Where everything in an image's tokens stands."""

import numpy as np
import pytest

from pipeline.buckets import make_buckets
from tokenizer.layout import ids_to_image, image_head, image_length, image_size_at, image_to_ids


def random_image(vocab, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    codes_HW = np.random.default_rng(height * 7 + width).integers(0, 8192, (height // 16, width // 16))
    return codes_HW, image_to_ids(codes_HW, vocab)


@pytest.mark.parametrize("side, tokens", [(256, 276), (512, 1060), (768, 2356), (1024, 4164)])
def test_squares_are_as_long_as_the_format_says(vocab, side, tokens):
    assert image_length(side, side) == tokens == len(random_image(vocab, side, side)[1])


def test_height_comes_first_and_rows_end_in_line_breaks(vocab):
    codes_HW, ids = random_image(vocab, 64, 96)
    assert ids.dtype == np.uint16
    assert ids[:3].tolist() == [8197, 8806, 8807]
    assert ids[-1] == 8196
    assert (ids[3:-1].reshape(4, 7)[:, -1] == 8803).all()
    assert (vocab.id_to_code[ids[3:-1].reshape(4, 7)[:, :-1]] == codes_HW).all()


@pytest.mark.parametrize("width, height", [*make_buckets(256), (32, 32), (2048, 32)])
def test_laying_out_and_reading_back_are_inverses(vocab, width, height):
    codes_HW, ids = random_image(vocab, height, width)
    assert len(ids) == image_length(height, width)
    assert image_size_at(ids, 0, vocab) == (height, width)
    assert (ids_to_image(ids, vocab) == codes_HW).all()


def test_golden_images_are_read_and_laid_out_to_the_id(vocab, golden):
    for item in golden["images"]:
        ids = np.array(item["input_ids"])
        codes_HW = ids_to_image(ids, vocab)
        assert [codes_HW.shape[1] * 16, codes_HW.shape[0] * 16] == item["crop"]
        assert (image_to_ids(codes_HW, vocab) == ids).all()


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (1, 1)])
def test_odd_numbers_of_codes_are_refused(vocab, shape):
    with pytest.raises(ValueError, match="no size token"):
        image_to_ids(np.zeros(shape, np.int32), vocab)


@pytest.mark.parametrize("code", [-1, 8192])
def test_a_code_outside_the_codebook_is_refused(vocab, code):
    codes_HW = np.zeros((2, 2), np.int32)
    codes_HW[1, 1] = code
    with pytest.raises(ValueError, match="the vocabulary has 8192"):
        image_to_ids(codes_HW, vocab)


@pytest.mark.parametrize("height, width", [(0, 32), (32, 0), (48, 32), (32, 33), (-32, 32), (32, 512 * 32 + 32)])
def test_sides_without_a_size_token_are_refused(vocab, height, width):
    with pytest.raises(ValueError, match="no size token"):
        image_head(height, width, vocab)


def test_the_largest_size_token_is_used(vocab):
    assert image_head(32, 512 * 32, vocab)[2] == vocab.sizes[512]


def broken(edit, vocab) -> np.ndarray:
    ids = random_image(vocab, 64, 64)[1].copy()
    edited = edit(ids)
    return ids if edited is None else edited


def put(position: int, token_id: int):
    def edit(ids):
        ids[position] = token_id

    return edit


BREAKS = {
    "no start": (put(0, 8196), "does not begin with start-of-image"),
    "nothing": (lambda ids: ids[:0], "does not begin with start-of-image"),
    "no size": (put(1, 4), "no size tokens follow"),
    "a size of zero": (put(2, 8804), "no size tokens follow"),
    "another size": (put(1, 8805), "2 x 4 codes are announced, that is 14 tokens; there are 24"),
    "cut": (lambda ids: ids[:-1], "there are 23"),
    "no end": (put(-1, 8710), "id 8710 stands where the image should end"),
    "no line break": (put(3 + 5 + 4, 4), "row 1 does not end in a line break"),
    "no code": (put(3 + 5 + 2, 8803), "id 8803 in row 1, column 2 is no image code"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_image_is_refused_with_the_place(vocab, name):
    edit, words = BREAKS[name]
    with pytest.raises(ValueError, match=words):
        ids_to_image(broken(edit, vocab), vocab)
