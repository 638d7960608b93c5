"""What a command prints, and where."""

import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from hwgen import api
from hwgen.cli.output import number, percent, short, table

EVALUATION = {
    "network": "n.npz",
    "samples": 1200,
    "float_accuracy": 0.9833,
    "accuracy": None,
    "weight_similarity": 0.991,
    "layers": [
        {"name": "conv[1]", "sqnr_db": 21.25, "weight_similarity": 0.98765},
        {"name": "dense", "sqnr_db": None, "weight_similarity": None},
    ],
}
SIMULATION = {"frames": 3, "mismatches": 0, "cycles_per_frame": 1234, "latency_cycles": 99, "first_difference": None}
SIMULATION |= {"trace": False}
SYNTHESIS = {
    "device": "up5k-sg48",
    "lut": 4321,
    "ff": 2000,
    "bram": 12,
    "dsp": 0,
    "fmax_mhz": 31.26,
    "cycles_per_frame": 1234,
    "inferences_per_second": 25332.2,
    "gops": 1.2,
    "gops_per_klut": 0.277,
    "bitstream": "out/top.bin",
    "seed": 3,
}
PLAN = {
    "layers": [
        {"name": "conv1", "kind": "conv", "pe": 4, "simd": 1, "unroll": [3, 3], "cycles": 900, "lut": 800, "bram": 2}
        | {"macs": 3600, "utilisation": 0.75}
    ],
    "bottleneck": "conv1",
    "cycles_per_frame": 1200,
    "frames_per_second": 20833.3,
    "clock_mhz": 25.0,
    "lut": 800,
    "bram": 2,
    "lut_budget": 1000,
    "bram_budget": 30,
    "fifos": [{"source": "conv1", "consumer": "add2", "depth": 12}],
    "outputs": [{"name": "logits", "lanes": 1, "cycles": 10}, {"name": "map", "lanes": 4, "cycles": 900}],
}
CHECKED = {
    "supported": True,
    "reason": None,
    "macs": 4608,
    "parameters": 72,
    "layers": [
        {
            "name": "/conv1/Conv",
            "operator": "Conv",
            "shape": [8, 8, 8],
            "macs": 4608,
            "parameters": 72,
            "supported": True,
            "reason": None,
        }
    ],
    "boards": [
        {"board": "icebreaker", "fits": True, "reason": None, "lut": 800, "bram": 2, "frames_per_second": 26666.7},
        {"board": "tiny", "fits": False, "reason": "needs 2 block RAMs of 1", "lut": None, "bram": None}
        | {"frames_per_second": None},
    ],
    "notes": ["the final Softmax was dropped"],
}
QUANTIZED = {
    "network": "n.npz",
    "identity": "c0ffee",
    "samples": 256,
    "layers": [
        {
            "name": "conv1",
            "kind": "conv",
            "shape": [8, 8, 8],
            "macs": 4608,
            "weights": 72,
            "weight_bits": 4,
            "activation_bits": 8,
        }
    ],
    "storage": {"storage_bits": 1_024_000, "best_bits": 901_120},
    "notes": [],
    "seconds": 0.5,
}
BUILT = {
    "board": "icebreaker",
    "eval": EVALUATION,
    "simulate": SIMULATION,
    "synth": SYNTHESIS,
    "seconds": {"quantize": 1.25, "synth": 30.0},
}
COMPARED = {
    "float_accuracy": 0.9833,
    "float_coarse_accuracy": None,
    "calibrated_on": 256,
    "samples": 360,
    "board": "ulx3s-85f",
    "clock_mhz": 100,
    "target_fps": 1356.3,
    "output": "out.json",
    "plot": None,
    "seconds": 1.5,
    "schemes": [
        {"name": "e2m1 [plain]", "failed": None, "fits": False, "reason": "needs 9 LUTs of 8"}
        | {"weights": 1864, "storage_bits": 81_920, "best_bits": 8192, "entropy_bits": 6990.0, "zero_share": 0.1046}
        | {"distinct": 15, "weight_sqnr_db": 19.71, "output_sqnr_db": None, "lut": 12_345, "bram": 9}
        | {"accuracy": None, "coarse_accuracy": None},
        {"name": "own", "failed": "the model holds none"},
    ],
}
CASES = {
    "check": (("check", "m"), CHECKED, ("icebreaker", "26,667", "needs 2 block RAMs of 1", "note: the final Softmax")),
    "quantize": (
        ("quantize", "m", "--calib", "c", "-o", "n"),
        QUANTIZED,
        ("8x8x8", "c0ffee", "256 inputs", "125.0 KiB as codes, 110.0"),
    ),
    "drop": (
        ("drop", "n", "--terms", "1", "-o", "m"),
        QUANTIZED | {"terms": 1, "samples": None, "notes": ["cut down to the first 1 of 2 terms"]},
        ("conv1", "72", "c0ffee", "as they were", "note: cut down"),
    ),
    "evaluate": (("eval", "n", "--data", "d"), EVALUATION, ("conv[1]", "21.2", "0.9877", "98.33 %", "–", "1,200")),
    "compare": (
        ("compare", "m", "--calib", "c"),
        COMPARED,
        (
            *("e2m1 [plain]: needs 9 LUTs of 8", "own: the model holds none", "1,356 frames/s", "98.33 %", "out.json"),
            *("10.00", "1.00", "3.75", "10.46 %", "19.7", "12,345"),
        ),
    ),
    "generate": (
        ("generate", "n", "--board", "b", "-o", "o"),
        {"board": "icebreaker", "folder": "o", "plan": PLAN},
        ("icebreaker", "900", "75.00 %", "20,833 at 25 MHz", "800 of 1,000 (80.00 %)", "2 of 30 (6.67 %)"),
    ),
    "simulate": (("simulate", "o", "--data", "d"), SIMULATION, ("frames simulated", "1,234", "99", "the result")),
    "synth": (("synth", "o"), SYNTHESIS, ("up5k-sg48", "4,321", "31.3 MHz with seed 3", "25,332", "out/top.bin")),
    "build": (
        ("build", "m", "--calib", "c", "--board", "b", "-o", "o"),
        BUILT,
        ("icebreaker", "up5k-sg48", "98.33 %", "quantize 1.2, synth 30.0"),
    ),
    "demo": (("demo",), BUILT, ("icebreaker", "up5k-sg48", "out/top.bin")),
}


@pytest.mark.parametrize("function", CASES)
def test_table(hwgen, monkeypatch, function):
    arguments, result, expected = CASES[function]
    monkeypatch.setattr(api, function, lambda *args, **kwargs: result)
    code, out, err = hwgen(*arguments)
    assert (code, err) == (0, "")
    for text in expected:
        assert text in out


@pytest.mark.parametrize("function", CASES)
def test_json_is_alone_on_standard_output(hwgen, monkeypatch, function):
    """Even when libraries and child processes write to standard output."""
    arguments, result, _ = CASES[function]

    def noisy(*args, progress, **kwargs):
        progress("one line")
        print("a library prints")
        os.write(1, b"a simulator prints\n")
        subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)
        return result

    monkeypatch.setattr(api, function, noisy)
    code, out, err = hwgen(*arguments, "--json")
    assert code == 0
    assert json.loads(out) == result
    assert [line in err for line in ("a library prints", "a simulator prints", "a child prints")] == [True] * 3


DIFFERENCE = {
    "layer": "conv[2]",
    "frame": 1,
    "row": 3,
    "column": 4,
    "channel": 5,
    "expected": 8,
    "actual": -7,
    "around": {
        "along": "column",
        "rows": [2, 3],
        "columns": [3, 4],
        "expected": [[10, 11], [12, 8]],
        "actual": [[10, 11], [12, -7]],
    },
}


def test_differences_exit_with_1(hwgen, monkeypatch):
    result = SIMULATION | {"mismatches": 2, "first_difference": DIFFERENCE}
    monkeypatch.setattr(api, "simulate", lambda *args, **kwargs: result)
    code, out, err = hwgen("simulate", "o", "--data", "d")
    assert (code, err) == (1, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[-9:] == [
        "first difference: layer conv[2], frame 1, channel 5, row 3, column 4: expected 8, actual -7",
        "expected around it",
        "row \\ column 3 4",
        "2 10 11",
        "3 12 8",
        "actual around it",
        "row \\ column 3 4",
        "2 10 11",
        "3 12 *-7",
    ]
    for command, arguments in (("build", CASES["build"][0]), ("demo", ("demo",))):
        monkeypatch.setattr(api, command, lambda *args, **kwargs: BUILT | {"simulate": result, "synth": None})
        outcome = hwgen(*arguments)
        assert outcome.code == 1
        assert "first difference: layer conv[2], frame 1" in outcome.out
        assert "not synthesized" in outcome.out


def test_a_difference_that_a_later_layer_hides_exits_with_1(hwgen, monkeypatch):
    monkeypatch.setattr(api, "simulate", lambda *args, **kwargs: SIMULATION | {"first_difference": DIFFERENCE})
    assert hwgen("simulate", "o", "--data", "d", "--trace").code == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "'conv1': 1,200 cycles for 3,600 MACs, 4 of them per cycle"),
        ({"bottleneck": "input"}, "the input of the core, not a layer: 1,200 cycles for a frame to come in"),
        ({"bottleneck": "output"}, "the output of the core, not a layer: 1,200 cycles for its results to leave"),
        ({"layers": [PLAN["layers"][0] | {"macs": 0}]}, "'conv1': 1,200 cycles at 4 channels per cycle"),
    ],
)
def test_bottleneck_in_words(hwgen, monkeypatch, changes, words):
    result = {"board": "icebreaker", "folder": "o", "plan": PLAN | changes}
    monkeypatch.setattr(api, "generate", lambda *args, **kwargs: result)
    assert f"The bottleneck is {words}.\n" in hwgen("generate", "n", "--board", "b", "-o", "o").out


def test_outputs_of_several_lanes_are_named(hwgen, monkeypatch):
    monkeypatch.setattr(api, "generate", lambda *args, **kwargs: {"board": "icebreaker", "folder": "o", "plan": PLAN})
    out = hwgen("generate", "n", "--board", "b", "-o", "o").out
    assert "Output 'map' has 4 values per beat.\n" in out
    assert "logits" not in out, "one value per beat is what an output has unless the plan says so"


def test_unsupported_model_is_an_answer_and_an_error(hwgen, monkeypatch):
    result = CHECKED | {"supported": False, "reason": "node 'x' (Loop) is not supported", "boards": []}
    monkeypatch.setattr(api, "check", lambda *args, **kwargs: result)
    code, out, err = hwgen("check", "m", "--json")
    assert (code, err) == (2, "error: node 'x' (Loop) is not supported\n")
    assert json.loads(out) == result


LONG = ["e2m1 mmse:tensors=2,budget=5", "pot3-nozero feedback"]
FIGURES = ["1,234,567,890", "12.50", "98.61 %"]


def printed(width):
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        table(console, ("scheme", ">weights stored", ">output dB", ">accuracy"), [[name, *FIGURES] for name in LONG])
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert max(map(len, lines)) <= width
    return lines


def test_a_wide_console_folds_nothing():
    heading, *lines = printed(80)
    assert heading.split("  ")[-3:] == ["weights stored", "output dB", "accuracy"]
    assert lines == [
        "e2m1 mmse:tensors=2,budget=5   1,234,567,890      12.50   98.61 %",
        "pot3-nozero feedback           1,234,567,890      12.50   98.61 %",
    ]


@pytest.mark.parametrize("width", [64, 50, 42, 38])
def test_a_narrow_console_folds_text_and_headings_but_no_figure(width):
    lines = printed(width)
    assert [line.split() for line in lines[:2]] == [["weights", "output"], ["scheme", "stored", "dB", "accuracy"]]
    shown = [line for line in lines if line.endswith("%")]
    assert len(shown) == 2
    assert all(" ".join(line.split()).endswith(" ".join(FIGURES)) for line in shown)


@pytest.mark.parametrize("width", [80, 50, 38, 24])
def test_a_table_loses_no_character(width):
    """Not even where there is no room for a figure in one line."""
    headings = ["scheme", "weights stored", "output dB", "accuracy"]
    expected = "".join([*headings, *LONG, *FIGURES, *FIGURES])
    assert sorted("".join(printed(width)).replace(" ", "")) == sorted(expected.replace(" ", ""))


def test_short():
    assert short("a" * 40) == "a" * 40
    assert short("a" * 30 + "b" * 30) == "…" + "a" * 9 + "b" * 30


def test_numbers():
    assert (number(None), number(0), number(1234567), number(2.345, 2)) == ("–", "0", "1,234,567", "2.35")
    assert (percent(None), percent(0.98765), percent(1)) == ("–", "98.77 %", "100.00 %")
