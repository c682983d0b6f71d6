"""Changes keep a picture's size, are done in order, and are the same each time."""

import numpy as np
import pytest
from PIL import Image

from pipeline.samples import Change
from tests.broken_pictures import gradient
from tokenizer.rendering.changes import apply_changes

PIXELS = gradient(64, 48)
PIXELS.flags.writeable = False
NOISE_OF_SEED_7 = [128, 131, 125, 119, 123, 118]


def changed(*changes: Change, pixels: np.ndarray = PIXELS) -> np.ndarray:
    result = apply_changes(pixels, changes)
    assert (result.shape, result.dtype) == (pixels.shape, np.uint8)
    return result


def test_without_a_change_it_is_the_picture():
    assert changed() is PIXELS


def test_a_crop_is_resized_back():
    part = Image.fromarray(PIXELS).crop((16, 12, 48, 36)).resize((64, 48), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(changed(Change("crop", (0.25, 0.25, 0.75, 0.75))), np.asarray(part))
    np.testing.assert_array_equal(changed(Change("crop", (0, 0, 1, 1))), PIXELS)


def test_a_flip_changes_left_and_right():
    np.testing.assert_array_equal(changed(Change("flip")), PIXELS[:, ::-1])
    np.testing.assert_array_equal(changed(Change("flip"), Change("flip")), PIXELS)


def test_noise_has_its_deviation_and_is_the_same_for_a_seed():
    gray = np.full((200, 200, 3), 128, np.uint8)
    noisy = changed(Change("noise", (10, 7)), pixels=gray)
    difference = noisy.astype(float) - 128
    assert abs(difference.std() - 10) < 0.2 and abs(difference.mean()) < 0.2
    assert abs(np.corrcoef(difference[..., 0].ravel(), difference[..., 1].ravel())[0, 1]) < 0.02  # each channel has its own
    np.testing.assert_array_equal(noisy, changed(Change("noise", (10, 7)), pixels=gray))
    assert (noisy != changed(Change("noise", (10, 8)), pixels=gray)).mean() > 0.9
    np.testing.assert_array_equal(changed(Change("noise", (0, 7))), PIXELS)


def test_noise_is_what_it_was_when_this_was_written():
    """Runs on other machines have to agree."""
    assert changed(Change("noise", (10, 7)), pixels=np.full((1, 2, 3), 128, np.uint8)).ravel().tolist() == NOISE_OF_SEED_7


def test_noise_is_clipped_not_wrapped():
    for value in (0, 255):
        noisy = changed(Change("noise", (20, 1)), pixels=np.full((50, 50, 3), value, np.uint8))
        assert (noisy == value).mean() > 0.4 and abs(noisy.astype(int) - value).max() < 128


def test_gray_is_luma_in_three_channels():
    gray = changed(Change("gray"))
    assert (gray == gray[..., :1]).all()
    luma = PIXELS @ [0.299, 0.587, 0.114]
    assert abs(gray[..., 0] - luma).max() <= 1


def test_changes_are_done_in_order():
    crop = Change("crop", (0, 0, 0.5, 1))
    np.testing.assert_array_equal(changed(crop, Change("flip")), changed(Change("flip"), Change("crop", (0.5, 0, 1, 1))))
    assert (changed(crop, Change("flip")) != changed(Change("flip"), crop)).any()


@pytest.mark.parametrize("change", [Change("crop"), Change("flip", (1,)), Change("noise", (5,)), Change("gray", (1,)), Change("blur")])
def test_a_change_with_the_wrong_values_is_refused(change):
    with pytest.raises(ValueError, match=change.kind):
        changed(change)
