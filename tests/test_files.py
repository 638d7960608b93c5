"""Results appear whole or not at all, and nothing of anybody else's is overwritten."""

import errno
import json
import os
import stat
from contextlib import AbstractContextManager
from enum import Enum
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from hwgen import files
from hwgen.errors import HwgenError
from hwgen.files import (
    MANIFEST,
    check_folder,
    check_writable,
    existing_file,
    generated_file,
    jsonable,
    new_file,
    new_folder,
    read_generated,
    read_json,
    write_json,
)

OURS = '{"hwgen": "0.1.0"}'


class Interrupted(Exception):
    pass


def everything(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def fail_in(context: AbstractContextManager[Path], name: str) -> None:
    """Write something and fail before the end of the block."""
    with context as staging:
        (staging / name).write_text("half")
        raise Interrupted


def test_new_folder_appears_when_done(tmp_path):
    place = tmp_path / "a" / "out"
    with new_folder(place) as staging:
        (staging / MANIFEST).write_text(OURS)
        (staging / "sub").mkdir()
        (staging / "sub" / "file").write_text("1")
        assert not place.exists()
    assert everything(tmp_path) == {f"a/out/{MANIFEST}": OURS, "a/out/sub/file": "1"}
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(place.stat().st_mode) == 0o777 & ~mask


def test_new_folder_replaces_its_own(tmp_path):
    place = tmp_path / "out"
    for text in ("old", "new"):
        with new_folder(place) as staging:
            (staging / MANIFEST).write_text(OURS)
            (staging / text).write_text(text)
    assert everything(tmp_path) == {f"out/{MANIFEST}": OURS, "out/new": "new"}


def test_new_folder_leaves_the_old_one_after_a_failure(tmp_path):
    place = tmp_path / "out"
    with new_folder(place) as staging:
        (staging / MANIFEST).write_text(OURS)
    with pytest.raises(Interrupted):
        fail_in(new_folder(place), "half")
    assert everything(tmp_path) == {f"out/{MANIFEST}": OURS}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_new_folder_puts_the_old_one_back_when_the_last_step_fails(tmp_path, monkeypatch):
    place = tmp_path / "out"
    with new_folder(place) as staging:
        (staging / MANIFEST).write_text(OURS)
    rename = Path.rename

    def fail(path, target):
        if (path / "new").exists():
            raise Interrupted
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(Interrupted), new_folder(place) as staging:
        (staging / "new").write_text("new")
    assert everything(tmp_path) == {f"out/{MANIFEST}": OURS}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_folders_above_disappear_after_a_failure(tmp_path, make):
    (tmp_path / "a").mkdir()
    with pytest.raises(Interrupted), make(tmp_path / "a" / "b" / "c" / "out"):
        raise Interrupted
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_writable(tmp_path):
    for place in (tmp_path / "out", tmp_path / "a" / "b" / "out", tmp_path):
        check_writable(place)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(HwgenError, match="lies below a file"):
        check_writable(tmp_path / "file" / "a" / "out")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place where not even root can write")
@pytest.mark.parametrize("check", [check_writable, check_folder])
def test_not_writable(check):
    with pytest.raises(HwgenError, match=r"output '/proc/a/b' cannot be written: .+ in '/proc'; choose another place"):
        check("/proc/a/b")


def test_read_only_file_system(tmp_path, monkeypatch):
    def refuse(**options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(HwgenError, match="cannot be written: read-only file system in"), new_folder(tmp_path / "out"):
        pytest.fail("the block must not run")


def test_generated_files(tmp_path):
    path = tmp_path / "core.v"
    with pytest.raises(HwgenError, match=r"core\.v' is missing; run hwgen generate again"):
        generated_file(path)
    path.write_text("")
    with pytest.raises(HwgenError, match=r"core\.v' is empty; run hwgen generate again"):
        generated_file(path)
    path.write_text('{"a": 1, "b": "x"}')
    assert read_generated(path, {"a": int, "b": str}) == {"a": 1, "b": "x"}
    for fields in ({"a": str}, {"a": int, "c": int}):
        with pytest.raises(HwgenError, match=r"core\.v' has no usable '[ac]'; run hwgen generate again"):
            read_generated(path, fields)
    path.write_text("{")
    with pytest.raises(HwgenError, match=r"core\.v' is damaged; run hwgen generate again"):
        read_generated(path, {})


@pytest.mark.parametrize("manifest", ['{"name": "a web application"}', "[]", "not JSON", ""])
def test_a_manifest_of_another_program_protects_its_folder(tmp_path, manifest):
    (tmp_path / MANIFEST).write_text(manifest)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HwgenError, match="holds files that hwgen did not write"), new_folder(tmp_path):
        pytest.fail("the block must not run")
    assert everything(tmp_path) == {MANIFEST: manifest, "thesis.txt": "years of work"}


def test_new_folder_through_a_link(tmp_path):
    """The folder behind the link is replaced; the link stays."""
    for text in ("old", "new"):
        with new_folder(tmp_path / "out") as staging:
            (staging / MANIFEST).write_text(OURS)
            (staging / text).write_text(text)
        if text == "old":
            (tmp_path / "out").rename(tmp_path / "real")
            (tmp_path / "out").symlink_to(tmp_path / "real")
    assert (tmp_path / "out").is_symlink()
    assert everything(tmp_path / "real") == {MANIFEST: OURS, "new": "new"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "real"]


def test_folder_in_the_current_directory(tmp_path, monkeypatch):
    """A bare name has no parent in its text."""
    monkeypatch.chdir(tmp_path)
    with new_folder("out") as staging:
        (staging / "file").write_text("1")
    assert everything(tmp_path) == {"out/file": "1"}


def test_check_folder(tmp_path):
    assert check_folder(tmp_path / "absent") == tmp_path / "absent"
    assert check_folder(tmp_path) == tmp_path
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HwgenError, match="holds files that hwgen did not write; choose another folder"):
        check_folder(tmp_path)
    with pytest.raises(HwgenError, match="is a file; choose another folder"):
        check_folder(tmp_path / "thesis.txt")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HwgenError, match="is a file; choose another folder"):
        check_folder(tmp_path / "dangling")


def test_new_file(tmp_path):
    place = tmp_path / "a" / "net.npz"
    with new_file(place) as staging:
        assert staging.suffix == ".npz"
        staging.write_text("1")
        assert not place.exists()
    with pytest.raises(Interrupted):
        fail_in(new_file(place), "")
    assert everything(tmp_path) == {"a/net.npz": "1"}


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_parent_is_a_file(tmp_path, make):
    (tmp_path / "file").write_text("")
    with pytest.raises(HwgenError, match="lies below a file"), make(tmp_path / "file" / "sub" / "out"):
        pytest.fail("the block must not run")


def test_new_file_where_a_folder_is(tmp_path):
    with pytest.raises(HwgenError, match="is a folder; give a file name"), new_file(tmp_path):
        pytest.fail("the block must not run")


def test_existing_file(tmp_path):
    with pytest.raises(HwgenError, match=r"model '.*absent.onnx' does not exist"):
        existing_file(tmp_path / "absent.onnx", "model")
    with pytest.raises(HwgenError, match=r"data '.*' is a folder; give a file"):
        existing_file(tmp_path, "data")
    (tmp_path / "file").write_text("")
    assert existing_file(str(tmp_path / "file"), "data") == tmp_path / "file"


def test_json_round_trip(tmp_path):
    value = {"a": [1, 2.5, None, True], "b": {"ü": "x"}}
    write_json(tmp_path / "r.json", value)
    assert read_json(tmp_path / "r.json", "result") == value
    assert (tmp_path / "r.json").read_text().endswith("}\n")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe"])
def test_read_json_refuses(tmp_path, content):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(HwgenError, match=r"manifest '.*r.json' is not a JSON object"):
        read_json(tmp_path / "r.json", "manifest")


def test_jsonable():
    class Kind(Enum):
        MAX = "max"

    value = {
        "numpy": [np.int64(3), np.float32(0.5), np.bool_(True), np.arange(2)],
        "infinite": (inf, nan, -inf),
        Path("p"): Path("a/b"),
        "kind": Kind.MAX,
        1: None,
    }
    converted = jsonable(value)
    assert converted == {
        "numpy": [3, 0.5, True, [0, 1]],
        "infinite": [None, None, None],
        "p": "a/b",
        "kind": "max",
        "1": None,
    }
    assert [type(item) for item in converted["numpy"]] == [int, float, bool, list]
    json.dumps(converted, allow_nan=False)
    with pytest.raises(TypeError, match="representable in JSON, not <object"):
        jsonable({"x": object()})
