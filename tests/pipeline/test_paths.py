"""A file is there whole or not at all, here and on an object store."""

import hashlib
import os
import stat
import uuid

import fsspec
import pytest

from pipeline import paths
from pipeline.errors import RecipeError


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path) -> str:
    """A folder on a disk, and one on a store that is none."""
    return str(tmp_path / "run") if request.param == "local" else f"memory://{uuid.uuid4().hex}/run"


def test_what_is_committed_can_be_read_listed_measured_and_hashed(folder):
    paths.commit_bytes(paths.join(folder, "deep", "b.bin"), b"hello")
    paths.commit_bytes(paths.join(folder, "deep", "a.bin"), b"")
    path = paths.join(folder, "deep", "b.bin")
    assert paths.exists(path)
    assert paths.read_bytes(path) == b"hello"
    assert paths.size(path) == 5
    assert paths.sha256(path) == hashlib.sha256(b"hello").hexdigest()
    assert paths.list_files(paths.join(folder, "deep")) == ["a.bin", "b.bin"]
    assert paths.list_files(folder) == [], "folders are no files"


def test_a_commit_replaces_what_was_there(folder):
    path = paths.join(folder, "a")
    paths.commit_bytes(path, b"a long first version")
    paths.commit_bytes(path, b"second")
    assert paths.read_bytes(path) == b"second"


def test_what_is_not_there_is_said_by_name(folder):
    path = paths.join(folder, "gone")
    assert not paths.exists(path)
    assert paths.list_files(path) == []
    for call in (paths.read_bytes, paths.size):
        with pytest.raises(RecipeError, match="gone: no such file"):
            call(path)


def test_a_folder_is_not_read_as_a_file(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        paths.read_bytes(str(tmp_path))


def test_a_tree_is_removed_and_a_missing_one_is_no_error(folder):
    paths.commit_bytes(paths.join(folder, "x", "y"), b"1")
    paths.remove_tree(folder)
    assert not paths.exists(paths.join(folder, "x", "y"))
    paths.remove_tree(folder)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), SystemExit()])
def test_a_write_that_fails_leaves_nothing_behind_and_the_old_file_whole(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        paths.commit(str(path), write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a"

    def write(file):
        file.write(b"all of it")
        file.flush()
        assert not path.exists()
        assert [name.endswith(paths.TEMPORARY_SUFFIX) for name in os.listdir(tmp_path)] == [True]

    paths.commit(str(path), write)
    assert path.read_bytes() == b"all of it"


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(folder):
    paths.commit_bytes(paths.join(folder, "a.arrow"), b"1")
    paths.commit_bytes(paths.join(folder, f"a.arrow.12345678{paths.TEMPORARY_SUFFIX}"), b"1")
    paths.commit_bytes(paths.join(folder, "below", f"b{paths.TEMPORARY_SUFFIX}"), b"1")
    paths.remove_temporaries(folder)
    assert paths.list_files(folder) == ["a.arrow"]
    assert paths.list_files(paths.join(folder, "below")) == [f"b{paths.TEMPORARY_SUFFIX}"]
    paths.remove_temporaries(paths.join(folder, "nowhere"))


def test_a_protocol_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match="nosuch://"):
        paths.exists("nosuch://bucket/key")


def test_local_paths_are_told_from_urls(tmp_path):
    assert paths.is_local(str(tmp_path)) and paths.is_local("runs/demo") and paths.is_local(f"file://{tmp_path}")
    assert not paths.is_local("memory://x")


def test_a_relative_path_is_written_where_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.commit_bytes("plain", b"1")
    paths.commit_bytes("some/where", b"2")
    assert (tmp_path / "plain").read_bytes() == b"1"
    assert paths.list_files("some") == ["where"]


def test_committed_files_can_be_read_by_others(tmp_path):
    old = os.umask(0o022)
    try:
        paths.commit_bytes(str(tmp_path / "a"), b"1")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_large_file_is_hashed_in_pieces(tmp_path):
    data = os.urandom(1000) * (paths.CHUNK // 1000 + 5)
    (tmp_path / "a").write_bytes(data)
    assert paths.sha256(str(tmp_path / "a")) == hashlib.sha256(data).hexdigest()


def test_a_listing_sees_files_that_another_process_wrote(folder):
    paths.commit_bytes(paths.join(folder, "a"), b"1")
    assert paths.list_files(folder) == ["a"]
    with fsspec.open(paths.join(folder, "b"), "wb") as file:
        file.write(b"2")
    assert paths.list_files(folder) == ["a", "b"]
