"""Pictures that records name: a bad path costs its record alone, a failing disk costs the unit."""

import errno
import json

import pytest
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import RecipeError, ShardError
from pipeline.samples import Sample
from pipeline.sources.bad_record import BadRecord, read_picture
from pipeline.sources.conversations import Conversations
from pipeline.sources.folder import Folder
from pipeline.sources.text import is_clean

LONGEST = 255  # bytes of a file's name, on every file system that Linux has
BAD_NAMES = (
    "gone.png",
    "a.png/b.png",  # below a file
    ".",
    "x" * (LONGEST + 1),
    "a\0.png",
    "loop.png",
    "\ud800.png",
    "abc://x.png",  # no such protocol
    "lakefs://x.png",  # a package that is not installed
    "reference://x.png",  # wants more than a path
    "memory://gone.png",
)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "loop.png").symlink_to("loop.png")
    return tmp_path


def fail_with(monkeypatch, error):
    def cat_file(self, path, *args):
        raise error

    monkeypatch.setattr(LocalFileSystem, "cat_file", cat_file)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_path_is_a_missing_picture(root, name):
    with pytest.raises(BadRecord) as caught:
        read_picture(str(root), name)
    assert caught.value.reason == "missing_image" and caught.value.message


@pytest.mark.parametrize("name", ["x" * LONGEST, "a::b.png", "~a.png", "{0..3}.png", "sub/../c.png"])
def test_odd_names_of_files_that_are_there_are_read(root, name):
    (root / "sub").mkdir()
    (root / name).write_bytes(b"odd")
    assert read_picture(str(root), name) == read_picture("", str(root / name)) == read_picture(f"file://{root}", name) == b"odd"


def test_a_picture_is_read_from_a_url(root):
    assert read_picture("/elsewhere", f"file://{root}/a.png") == b"a"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ELOOP])
def test_errors_of_the_path_cost_the_record(root, monkeypatch, number):
    fail_with(monkeypatch, OSError(number, "no"))
    with pytest.raises(BadRecord, match="missing_image"):
        read_picture(str(root), "a.png")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENFILE, errno.ECONNRESET])
def test_errors_that_may_pass_cost_the_unit(root, monkeypatch, number):
    fail_with(monkeypatch, OSError(number, "later"))
    with pytest.raises(ShardError, match=r"a\.png: .*later"):
        read_picture(str(root), "a.png")


def test_a_root_that_cannot_be_is_the_recipes_fault():
    with pytest.raises(RecipeError, match="abc://pictures"):
        read_picture("abc://pictures", "a.png")


def test_the_rest_of_a_unit_is_read(root):
    names = [name for name in BAD_NAMES if is_clean(name)]  # the others fail as texts
    said = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    (root / "x.json").write_text(json.dumps([{"conversations": said, "image": name} for name in (*names, "a.png")]))
    source = Conversations(str(root / "x.json"))
    *bad, good = (item for unit in source.plan(100) for item in source.read(unit))
    assert [item.reason for item in bad] == ["missing_image"] * len(names) and isinstance(good, Sample)
    for item in bad:
        item.message.encode()  # can be written down


@pytest.mark.parametrize(("number", "outcome"), [(errno.ELOOP, ["unreadable_file"]), (errno.EIO, None)])
def test_a_folder_makes_the_same_difference(root, monkeypatch, number, outcome):
    (root / "loop.png").unlink()
    source = Folder(str(root))
    [unit] = source.plan(10)
    fail_with(monkeypatch, OSError(number, "no"))
    if outcome:
        assert [item.reason for item in source.read(unit)] == outcome
    else:
        with pytest.raises(ShardError, match=r"a\.png"):
            list(source.read(unit))
