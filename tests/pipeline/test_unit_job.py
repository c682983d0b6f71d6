"""What a unit writes into the ledger of the pictures that it encoded."""

import numpy as np
import pytest

from pipeline.errors import ShardError
from pipeline.images import plan_crop
from pipeline.samples import BadSample, ImageRef, Pose, Sample
from pipeline.sources.unit import Unit
from pipeline.unit_files import read_ledger, unit_files
from pipeline.unit_job import Picture, UnitJob, Work, readable
from tests.broken_pictures import SIZE, picture
from tests.pipeline.test_batching import FirstPixel

CROP = plan_crop(SIZE, (32, 32))


class OnePerson:
    """A source of one picture with a pose."""

    def read(self, unit):
        yield Sample("a", images={"image": picture()}, poses=(Pose(((0.5, 0.5, 1.0),) * 17),))


class Shown:
    """A finisher that shows the same pictures of every sample."""

    def __init__(self, *refs: ImageRef):
        self.refs = refs

    plans = False

    def setup(self):
        pass

    def work(self, sample, draws):
        return Work((), tuple(Picture(ref, CROP) for ref in self.refs), {})

    def pixels(self, sample, work):
        return [np.zeros((32, 32, 3), np.uint8) for _ in work.pictures]

    def finish(self, work, codes):
        return []


@pytest.mark.parametrize(
    "refs", [(ImageRef("image"),), (ImageRef("pose"),), (ImageRef("pose"), ImageRef("image")), (ImageRef("pose"), ImageRef(target_size=64))]
)
def test_the_crop_is_written_of_the_main_picture_also_where_only_a_drawn_one_is_shown(tmp_path, refs):
    job = UnitJob(OnePerson(), (), (), (), Shown(*refs), "uint16", "f", str(tmp_path), 10_000, 10_000)
    job.run(Unit(0, "one", 0, 1), FirstPixel())
    [row] = read_ledger(str(tmp_path), unit_files(0).ledger).to_pylist()
    assert (row["disposition"], row["bucket"], row["crop_box"]) == ("accepted", "32x32", list(CROP.box(*SIZE)))
    assert (row["original_width"], row["original_height"]) == SIZE


class Failing:
    """A source whose file cannot be read beyond its third record."""

    def read(self, unit):
        for number in range(unit.start, 3):
            yield Sample(str(number))
        raise ShardError("gone")


@pytest.mark.parametrize(("start", "stop", "lost"), [(0, 6, [3, 4, 5]), (2, 4, [3]), (0, 3, [3]), (0, None, [3]), (4, 6, [4, 5])])
def test_every_record_behind_what_cannot_be_read_fails_by_itself(start, stop, lost):
    items = list(readable(Failing(), Unit(0, "x.json", start, stop)))
    assert [item.key for item in items] == [*map(str, range(start, 3)), *(f"x.json[{number}]" for number in lost)]
    assert all(item.reason == "unreadable_shard" and "gone" in item.message for item in items if isinstance(item, BadSample))
