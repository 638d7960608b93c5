"""Whatever a user can get wrong is one sentence on standard error and exit code 2, without a traceback."""

import errno
import json
import os

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwgen import demo

CALIB = demo.calibration_path()
SCALE = ("--scale", "1/16")


def bad_model(folder, kind):
    """A file that is not the demo's model in one particular way."""
    path = folder / "model.onnx"
    content = demo.model_path().read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("This is a letter to my grandmother, not a neural network.\n" * 20)
    elif kind == "zip":
        path.write_bytes(CALIB.read_bytes())
    elif kind == "folder":
        path.mkdir()
    elif kind == "nan":
        model = onnx.load_from_string(content)
        weight = next(t for t in model.graph.initializer if t.name == "conv2.weight")
        array = numpy_helper.to_array(weight).copy()
        array[3, 2, 1, 0] = np.nan
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        onnx.save(model, path)
    else:
        assert kind == "missing"
    return path


def is_one_sentence(outcome, *words):
    """Exit code 2, one line that begins with ``error:`` and says ``words``, no traceback."""
    lines = outcome.err.splitlines()
    assert (outcome.code, len(lines)) == (2, 1), outcome
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    return True


MODELS = {
    "missing": "does not exist",
    "truncated": "truncated",
    "empty": "is empty",
    "text": "not an ONNX model",
    "zip": "is a zip archive",
    "folder": "is a folder",
    "nan": "NaN",
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("command", ["check", "quantize", "build"])
def test_bad_models(hwgen, tmp_path, kind, command):
    path = bad_model(tmp_path, kind)
    more = {
        "check": (),
        "quantize": ("--calib", CALIB, "-o", tmp_path / "net.npz"),
        "build": ("--calib", CALIB, "--board", "icebreaker", "-o", tmp_path / "out"),
    }[command]
    before = sorted(tmp_path.rglob("*"))
    outcome = hwgen(command, path, *SCALE, *more, "--json")
    assert is_one_sentence(outcome, MODELS[kind])
    # A model that can be read but not built is still described; nothing else prints anything.
    if (command, kind) == ("check", "nan"):
        assert json.loads(outcome.out)["supported"] is False
    else:
        assert outcome.out == ""
    assert sorted(tmp_path.rglob("*")) == before


DATA = {
    "shape": (np.zeros((4, 1, 9, 8), np.uint8), None, "shape"),
    "channel last of three": (np.zeros((4, 8, 8, 3), np.uint8), None, "shape"),
    "text": (np.array([["a"] * 64] * 4), None, "numbers"),
    "complex": (np.zeros((4, 64), np.complex64), None, "numbers"),
    "objects": (np.array([[{}] * 64] * 4, object), None, "objects"),
    "nan": (np.full((4, 64), np.nan), None, "NaN"),
    "no samples": (np.zeros((0, 1, 8, 8), np.uint8), None, "no samples"),
    "labels of other length": (np.zeros((4, 64), np.uint8), np.zeros(3, int), "labels"),
    "float labels": (np.zeros((4, 64), np.uint8), np.zeros(4), "labels"),
}


@pytest.mark.parametrize("kind", DATA)
def test_bad_calibration_data(hwgen, tmp_path, kind):
    x, y, word = DATA[kind]
    np.savez(tmp_path / "calib.npz", x=x, **({} if y is None else {"y": y}))
    outcome = hwgen("quantize", demo.model_path(), "--calib", tmp_path / "calib.npz", "-o", tmp_path / "net.npz")
    assert is_one_sentence(outcome, "calib.npz", word)
    assert [path.name for path in tmp_path.iterdir()] == ["calib.npz"]


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "onnx", "without x"])
def test_calibration_files_that_are_not(hwgen, tmp_path, kind):
    path = tmp_path / "calib.npz"
    if kind == "without x":
        np.savez(path, images=np.zeros((4, 64)))
    elif kind != "missing":
        contents = {"empty": b"", "text": b"x = 1, 2, 3\n", "onnx": demo.model_path().read_bytes()}
        path.write_bytes(contents[kind])
    outcome = hwgen("quantize", demo.model_path(), "--calib", path, "-o", tmp_path / "net.npz")
    assert is_one_sentence(outcome, "calib.npz")
    assert not (tmp_path / "net.npz").exists()


QUANTIZE = ("quantize", demo.model_path(), "--calib", CALIB, *SCALE)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--code", "e9m9"), "code 'e9m9' is not known"),
        (("--act-bits", "9"), "2 to 8"),
        (("--act-bits", "1"), "2 to 8"),
        (("--mean", "1,2,3"), "mean"),
        (("--std", "0"), "std"),
        (("--scale", "one"), "'one' is not a number"),
    ],
)
def test_bad_options(hwgen, tmp_path, options, word):
    outcome = hwgen(*QUANTIZE, *options, "-o", tmp_path / "net.npz")
    assert is_one_sentence(outcome, word)
    assert list(tmp_path.iterdir()) == []


def test_network_file_names(hwgen, tmp_path):
    assert is_one_sentence(hwgen(*QUANTIZE, "-o", tmp_path / "net"), "must end in .npz")
    (tmp_path / "net.npz").mkdir()
    assert is_one_sentence(hwgen(*QUANTIZE, "-o", tmp_path / "net.npz"), "is a folder")
    (tmp_path / "file").write_text("")
    assert is_one_sentence(hwgen(*QUANTIZE, "-o", tmp_path / "file" / "net.npz"), "lies below a file")


def test_only_network_files_are_replaced(hwgen, tmp_path):
    data = tmp_path / "data.npz"
    data.write_bytes(CALIB.read_bytes())
    arguments = ("quantize", demo.model_path(), "--calib", data, *SCALE, "-o", data)
    assert is_one_sentence(hwgen(*arguments), "is not a network file of hwgen")
    assert data.read_bytes() == CALIB.read_bytes()
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize(("scale", "word"), [("1e300", "weight is "), ("1e-300", "weight is ")])
def test_normalization_out_of_range(hwgen, tmp_path, scale, word):
    arguments = ("quantize", demo.model_path(), "--calib", CALIB, "--scale", scale, "-o", tmp_path / "net.npz")
    assert is_one_sentence(hwgen(*arguments), word, "out of range")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A quantized network file of the demo."""
    from hwgen import api

    path = tmp_path_factory.mktemp("network") / "net.npz"
    api.quantize(demo.model_path(), CALIB, path, scale=demo.SCALE)
    return path


@pytest.mark.parametrize("command", ["eval", "drop", "generate"])
@pytest.mark.parametrize("kind", ["missing", "data", "onnx", "folder"])
def test_bad_networks(hwgen, tmp_path, command, kind):
    path = {"data": CALIB, "onnx": demo.model_path(), "missing": tmp_path / "absent.npz", "folder": tmp_path}[kind]
    more = {
        "eval": ("--data", CALIB),
        "drop": ("--terms", "1", "-o", tmp_path / "out.npz"),
        "generate": ("--board", "icebreaker", "-o", tmp_path / "out"),
    }[command]
    assert is_one_sentence(hwgen(command, path, *more), path.name)
    assert list(tmp_path.iterdir()) == []


def test_codes_that_are_not_nested(hwgen, tmp_path, network):
    outcome = hwgen("drop", network, "--terms", "1", "-o", tmp_path / "out.npz")
    assert is_one_sentence(outcome, "codes are not nested; quantize the model with `--method layering`")
    assert list(tmp_path.iterdir()) == []


def test_unknown_board(hwgen, tmp_path, network):
    outcome = hwgen("generate", network, "--board", "spaceship", "-o", tmp_path / "out")
    assert is_one_sentence(outcome, "board 'spaceship' is not known", "icebreaker")
    build = ("build", demo.model_path(), "--calib", CALIB, "--board", "spaceship", "-o", tmp_path / "out")
    assert is_one_sentence(hwgen(*build), "board 'spaceship' is not known")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["generate", "build", "demo"])
def test_output_folder_is_taken(hwgen, tmp_path, network, command):
    arguments = {
        "generate": (network, "--board", "icebreaker"),
        "build": (demo.model_path(), "--calib", CALIB, "--board", "icebreaker"),
        "demo": (),
    }[command]
    place = tmp_path / "out"
    place.write_text("a file")
    assert is_one_sentence(hwgen(command, *arguments, "-o", place), "is a file; choose another folder")
    place.unlink()
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")
    assert is_one_sentence(hwgen(command, *arguments, "-o", place), "hwgen did not write")
    assert [path.name for path in place.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--max-luts", "100"), "100 may be used"),
        (("--target-fps", "1e9"), "cycles"),
        (("--target-fps", "0"), "positive"),
        (("--clock-mhz", "0"), "positive number of MHz, not 0"),
        (("--clock-mhz", "nan"), "positive number of MHz, not nan"),
        (("--clock-mhz", "inf"), "positive number of MHz, not inf"),
    ],
)
def test_plans_that_do_not_fit(hwgen, tmp_path, network, options, word):
    outcome = hwgen("generate", network, "--board", "icebreaker", "-o", tmp_path / "out", *options)
    assert is_one_sentence(outcome, word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["quantize", "eval", "generate", "simulate", "synth", "build", "demo"])
def test_unwritable_places_are_noticed_before_slow_steps(hwgen, tmp_path, network, monkeypatch, command):
    from hwgen import files, plan, quantize, store

    def refuse(**options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def slow(*args, **kwargs):
        raise AssertionError("a slow step was begun")

    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(quantize, "quantize", slow)
    monkeypatch.setattr(plan, "plan", slow)
    monkeypatch.setattr(store, "load", slow)
    arguments = {
        "quantize": (*QUANTIZE[1:], "-o", tmp_path / "net.npz"),
        "eval": (network, "--data", CALIB),
        "generate": (network, "--board", "icebreaker", "-o", tmp_path / "out"),
        "simulate": (tmp_path, "--data", CALIB),
        "synth": (tmp_path,),
        "build": (demo.model_path(), "--calib", CALIB, "--board", "icebreaker", "-o", tmp_path / "out"),
        "demo": ("-o", tmp_path / "out"),
    }[command]
    assert is_one_sentence(hwgen(command, *arguments), "cannot be written: read-only file system in")


@pytest.mark.parametrize("command", ["simulate", "synth"])
def test_folder_is_not_a_core(hwgen, tmp_path, command):
    more = ("--data", CALIB) if command == "simulate" else ()
    assert is_one_sentence(hwgen(command, tmp_path / "absent", *more), "does not exist", "hwgen generate")
    assert is_one_sentence(hwgen(command, tmp_path, *more), "was not made by `hwgen generate`")
    for content in ("[]", '{"hwgen": 1}'):
        (tmp_path / "manifest.json").write_text(content)
        assert is_one_sentence(hwgen(command, tmp_path, *more), "run hwgen generate again")


def test_missing_tool(hwgen, tmp_path, network, monkeypatch):
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    outcome = hwgen("generate", network, "--board", "icebreaker", "-o", tmp_path / "out")
    assert is_one_sentence(outcome, "YOSYS", "no-such-yosys")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["build", "demo"])
@pytest.mark.parametrize("variable", ["YOSYS", "NEXTPNR_ICE40", "ICEPACK", "VERILATOR"])
def test_missing_tools_are_found_first(hwgen, tmp_path, monkeypatch, command, variable):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))  # VERILATOR too: Icarus must not take its place
    arguments = {"build": (demo.model_path(), "--calib", CALIB, "--board", "icebreaker"), "demo": ()}[command]
    assert is_one_sentence(hwgen(command, *arguments, "-o", tmp_path / "out"), variable, "not a program")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--frames", "9999"), "between 1 and the 256"),
        (("--simulator", "crystal"), "'crystal'"),
        (("--seed", "-1"), "seed must be between 0"),
    ],
)
def test_build_finds_bad_simulations_before_writing(hwgen, tmp_path, options, word):
    build = ("build", demo.model_path(), "--calib", CALIB, *SCALE, "--board", "icebreaker", *options)
    assert is_one_sentence(hwgen(*build, "-o", tmp_path / "out"), word)
    assert list(tmp_path.iterdir()) == []
