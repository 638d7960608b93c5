"""``hwgen compare`` on the demo's model: files, table and JSON say the same, and mistakes are found early."""

import errno
import json
import os

import numpy as np
import pytest

from hwgen import HwgenError, api, demo
from hwgen.cli.output import number, percent

from ..cli.test_errors import is_one_sentence

FILES = (str(demo.model_path()), "--calib", str(demo.calibration_path()), "--data", str(demo.test_path()))
ARGUMENTS = ("compare", *FILES, "--scale", "1/16")
CHOICE = ("--codes", "e2m1,pot3 0,1,-1,3 own", "--methods", "plain,feedback", "--groups", "0,6,8,9;1,2,3,4,5,7")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """What the step returned, the folder with what it left, and the lines of progress."""
    folder = tmp_path_factory.mktemp("compare")
    lines = []
    result = api.compare(
        demo.model_path(),
        demo.calibration_path(),
        data=demo.test_path(),
        codes="e2m1,pot3",
        methods="plain,feedback",
        groups="0,6,8,9;1,2,3,4,5,7",
        board="icebreaker",
        scale=demo.SCALE,
        output=folder / "out.json",
        plot=str(folder / "out.svg"),
        progress=lines.append,
    )
    return result, folder, lines


def test_the_step(compared):
    result, folder, lines = compared
    assert sorted(path.name for path in folder.iterdir()) == ["out.json", "out.svg"]
    assert json.loads((folder / "out.json").read_text()) == result
    assert [row["name"] for row in result["schemes"]] == ["e2m1 plain", "e2m1 feedback", "pot3 plain", "pot3 feedback"]
    assert (result["calibrated_on"], result["samples"], result["board"]) == (256, 360, "icebreaker")
    assert result["float_accuracy"] == pytest.approx(354 / 360)
    for row in result["schemes"]:
        assert row["weights"] == 1864
        assert row["accuracy"] >= 354 / 360 - 0.03
        assert row["coarse_accuracy"] >= row["accuracy"]
        assert row["fits"] is True
        assert row["frames_per_second"] >= result["target_fps"]
    # Three bits against four at one rate, on one board.
    assert result["schemes"][2]["lut"] < result["schemes"][0]["lut"]
    for name in (row["name"] for row in result["schemes"]):
        assert (folder / "out.svg").read_text().count(f">{name}<") == 2
    assert any(line.startswith("scheme 3 of 4, pot3 plain: ") for line in lines)


def test_the_step_agrees_with_the_others(compared, tmp_path):
    """As if every scheme had been quantized, evaluated and planned by itself."""
    result, _, _ = compared
    row = result["schemes"][3]
    place = tmp_path / "net.npz"
    options = {"code": "pot3", "method": "feedback", "scale": demo.SCALE}
    quantized = api.quantize(demo.model_path(), demo.calibration_path(), place, **options)
    evaluated = api.evaluate(place, demo.test_path())
    assert row["accuracy"] == evaluated["accuracy"]
    assert {key: row[key] for key in quantized["storage"]} == quantized["storage"]


def test_without_places_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = api.compare(
        demo.model_path(), demo.calibration_path(), codes="pot3", methods="plain", scale=demo.SCALE, target_fps=1000
    )
    assert (result["output"], result["plot"], result["target_fps"]) == (None, None, 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shown(hwgen, tmp_path):
    """The table that the command prints, as rows of words by scheme, all it prints, and the JSON that it leaves."""
    place = tmp_path / "out.json"
    outcome = hwgen(*ARGUMENTS, *CHOICE, "-o", place)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out, json.loads(place.read_text())


def test_the_table_is_the_json(shown):
    out, result = shown
    lines = [line.split("  ") for line in out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    heading = next(row for row in rows if row[0] == "scheme")
    printed = {row[0]: dict(zip(heading, row, strict=True)) for row in rows if len(row) == len(heading)}
    names = [row["name"] for row in result["schemes"] if row["failed"] is None]
    # The model holds no codes of its own, which is a line below the table.
    assert list(printed) == ["scheme", *names]
    assert len(names) == 6
    assert sum("holds no weights as codes of its own" in line for line in out.splitlines()) == 2
    for row in result["schemes"]:
        if row["failed"] is not None:
            assert f"{row['name']}: {row['failed']}" in out
            continue
        assert printed[row["name"]] == {
            "scheme": row["name"],
            "KiB": number(row["storage_bits"] / 8192, 2),
            "Huffman KiB": number(row["best_bits"] / 8192, 2),
            "entropy": number(row["entropy_bits"] / row["weights"], 2),
            "zeros": percent(row["zero_share"]),
            "distinct": number(row["distinct"]),
            "weights dB": number(row["weight_sqnr_db"], 1),
            "output dB": number(row["output_sqnr_db"], 1),
            "accuracy": percent(row["accuracy"]),
            "by group": percent(row["coarse_accuracy"]),
            "LUTs": number(row["lut"]),
            "block RAMs": number(row["bram"]),
        }
    words = {" ".join(line.split()) for line in out.splitlines()}
    assert f"float accuracy {percent(result['float_accuracy'])}" in words
    assert f"float accuracy by group {percent(result['float_coarse_accuracy'])}" in words
    assert f"LUTs, estimated ulx3s-85f at 100 MHz, {number(result['target_fps'])} frames/s" in words


def test_json_is_the_file(hwgen, tmp_path):
    outcome = hwgen(*ARGUMENTS, "--codes", "pot3", "--methods", "plain", "-o", tmp_path / "out.json", "--json")
    assert json.loads(outcome.out) == json.loads((tmp_path / "out.json").read_text())


def test_layers_on_request(hwgen):
    outcome = hwgen(*ARGUMENTS, "--codes", "pot3", "--methods", "plain", "--layers")
    lines = [line.split() for line in outcome.out.splitlines()]
    (dense,) = (line for line in lines if line[:1] == ["dense_Gemm"])
    assert dense[1:6] == ["pot3", "640", "-0.697", "0.699", "-4..4"]
    assert not any("dense_Gemm" in line for line in hwgen(*ARGUMENTS, "--codes", "pot3", "--methods", "plain").out)


def test_what_does_not_fit_is_no_failure(hwgen):
    outcome = hwgen(*ARGUMENTS, "--codes", "pot3,int8", "--methods", "plain", "--board", "icebreaker")
    assert outcome.code == 0
    assert "int8: the network does not fit icebreaker: it needs" in outcome.out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--codes", "e2m1,e9m9"), "code 'e9m9' is not known"),
        (("--methods", "plain,magic"), "no quantization method 'magic'"),
        (("--act-bits", "8,9"), "activation bits must be 2 to 8"),
        (("--board", "spaceship"), "board 'spaceship' is not known"),
        (("--clock-mhz", "0"), "positive number of MHz"),
        (("--target-fps", "0"), "target fps must be positive"),
        (("--groups", "0,1;1"), "class 1 twice"),
        (("--groups", "0,10"), "class 10, but the network has 10"),
        (("-o", "out.npz"), "must end in .json"),
        (("--plot", "out.pdf"), "must end in .svg or .png"),
        (("--data", "absent.npz"), "absent.npz does not exist"),
    ],
)
def test_mistakes_are_found_before_anything_is_quantized(hwgen, tmp_path, monkeypatch, options, word):
    def slow(*args, **kwargs):
        raise AssertionError("a slow step was begun")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hwgen.compare.comparison.quantize", slow)
    assert is_one_sentence(hwgen(*ARGUMENTS, *options), word)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places_are_noticed_first(hwgen, tmp_path, monkeypatch):
    def refuse(**options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("hwgen.files.tempfile.TemporaryFile", refuse)
    for options in (("-o", tmp_path / "out.json"), ("--plot", tmp_path / "out.svg")):
        assert is_one_sentence(hwgen(*ARGUMENTS, *options), "cannot be written: read-only file system")


def test_labels(tmp_path):
    """Groups need them; without groups they may be missing, and they must be classes of the network."""
    x = np.load(demo.test_path())["x"][:5]
    options = {"codes": "pot3", "methods": "plain", "scale": demo.SCALE}
    np.savez(tmp_path / "bare.npz", x=x)
    for data in ({"data": tmp_path / "bare.npz"}, {}):
        calibration = demo.calibration_path() if data else tmp_path / "bare.npz"
        with pytest.raises(HwgenError, match=r"bare\.npz: there are no labels y in it"):
            api.compare(demo.model_path(), calibration, groups="0,1", **data, **options)
    result = api.compare(demo.model_path(), demo.calibration_path(), data=tmp_path / "bare.npz", **options)
    assert (result["float_accuracy"], result["schemes"][0]["accuracy"], result["samples"]) == (None, None, 5)
    np.savez(tmp_path / "beyond.npz", x=x, y=np.arange(6, 11))
    with pytest.raises(HwgenError, match=r"beyond\.npz: labels y go up to 10, but the network has 10 outputs"):
        api.compare(demo.model_path(), demo.calibration_path(), data=tmp_path / "beyond.npz", **options)


def test_a_run_that_ends_early_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwgen.compare.chart.Figure.savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.compare(
            demo.model_path(),
            demo.calibration_path(),
            codes="pot3",
            methods="plain",
            scale=demo.SCALE,
            output=tmp_path / "out.json",
            plot=tmp_path / "out.svg",
        )
    assert list(tmp_path.iterdir()) == []
