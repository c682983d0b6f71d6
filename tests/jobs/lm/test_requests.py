"""Requests refuse what makes no sense."""

from dataclasses import replace

import pytest

from jobs.lm.requests import SampleRequest
from pipeline.samples import ImageRef, Turn

USER = (Turn("user", ("Hello",)),)


def test_the_last_turn_is_the_users():
    with pytest.raises(ValueError, match="the last turn"):
        SampleRequest(0, ())
    with pytest.raises(ValueError, match="the last turn"):
        SampleRequest(0, (*USER, Turn("assistant", ("Hi",))))


@pytest.mark.parametrize("name", ["num_images", "temperature", "image_top_k", "text_top_k", "max_text_tokens"])
def test_numbers_are_above_0(name):
    with pytest.raises(ValueError, match=f"{name} is above 0, got 0"):
        replace(SampleRequest(0, USER), **{name: 0})


def test_image_guidance_wants_an_image():
    with pytest.raises(ValueError, match="image_guidance"):
        SampleRequest(0, USER, image_guidance=1.5)
    assert SampleRequest(0, (Turn("user", (ImageRef(),)),), image_guidance=1.5).image_guidance == 1.5
