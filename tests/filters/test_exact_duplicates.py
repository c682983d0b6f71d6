"""Equal samples have equal signatures, and no others do."""

from dataclasses import replace
from itertools import combinations

from filters.exact_duplicates import ExactDuplicates
from pipeline.samples import ImageRef, Sample, Turn


def signature(sample, **options):
    return ExactDuplicates(**options).signature(sample)


def test_the_pictures_alone_decide():
    one = Sample("a", "one", {"image": b"p"}, metadata={"url": "x"})
    assert signature(one) == signature(Sample("b", "two", {"image": b"p"}))
    assert signature(one) != signature(Sample("a", "one", {"image": b"q"}))


def test_the_caption_can_be_made_to_count():
    one, two = Sample("a", "one", {"image": b"p"}), Sample("b", "two", {"image": b"p"})
    assert signature(one, include_caption=True) != signature(two, include_caption=True)
    assert signature(one, include_caption=True) == signature(replace(two, caption="one"), include_caption=True)


def test_different_samples_have_different_signatures():
    def said(*content):
        return (Turn("user", content), Turn("assistant", ("yes",)))

    samples = [
        Sample("x", images={"image": b"ab"}),
        Sample("x", images={"image": b"ab", "depth": b"c"}),
        Sample("x", images={"image": b"a", "depth": b"bc"}),
        Sample("x", images={"depth": b"ab"}),
        Sample("x", images={"image_1": b"a", "image_2": b"b"}),
        Sample("x", images={"image_1": b"b", "image_2": b"a"}),
        Sample("x", images={"image": b"ab"}, turns=said("a")),
        Sample("x", images={"image": b"ab"}, turns=said("a", ImageRef("image"))),
        Sample("x", images={"image": b"ab"}, turns=said(ImageRef("image"), "a")),
        Sample("x", turns=said("a")),
        Sample("x", turns=said("b")),
    ]
    for one, two in combinations(samples, 2):
        assert signature(one) != signature(two)
    assert signature(samples[6]) == signature(replace(samples[6], key="y", caption="z"))


def test_a_sample_of_nothing_is_no_duplicate():
    assert signature(Sample("x", "caption")) is None


def test_a_signature_has_32_bytes_and_stays_the_same():
    assert signature(Sample("x", images={"image": b"p"})).hex() == "50c59d99582437bbf4ecfa6545d5e7a6bf8009b7682177f72781154ca8f4902b"


def test_one_sample_alone_is_kept():
    samples = [Sample("a", images={"image": b"p"})] * 2
    assert [verdict.keep for verdict in ExactDuplicates().judge(samples)] == [True, True]
