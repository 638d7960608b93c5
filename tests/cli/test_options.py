"""Text to values, and that every option reaches the function behind the command."""

import inspect
import json
from pathlib import Path

import pytest

from hwgen import api
from hwgen.cli.options import channel_values
from hwgen.errors import HwgenError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1", (1.0,)),
        ("1/255", (1 / 255,)),
        ("-0.5", (-0.5,)),
        ("2e-3", (0.002,)),
        ("0.485, 0.456,0.406", (0.485, 0.456, 0.406)),
        ("1/2,-1/4", (0.5, -0.25)),
    ],
)
def test_channel_values(text, values):
    assert channel_values(text) == values


@pytest.mark.parametrize("text", ["", "a", "1,", "1/0", "nan", "inf", "1;2", "1e999/1", "1 2"])
def test_channel_values_refuse(text):
    with pytest.raises(HwgenError, match="is not a number, a fraction"):
        channel_values(text)


NORMALIZATION = {"scale": (1 / 255,), "mean": (-0.5, 0.5), "std": (2.0,)}
NORMALIZE = ("--scale", "1/255", "--mean", "-0.5,0.5", "--std", "2")
PLAN = {"target_fps": 30.5, "max_luts": 4000, "clock_mhz": 48.0}
PLANNING = ("--target-fps", 30.5, "--max-luts", 4000, "--clock-mhz", 48)
RUN = {"frames": 3, "simulator": "icarus", "stalls": 7}
RUNNING = ("--frames", 3, "--simulator", "icarus", "--stalls", 7)
DEFAULTS = {
    "compare": {
        name: option.default
        for name, option in inspect.signature(api.compare).parameters.items()
        if option.kind is option.KEYWORD_ONLY and name != "progress"
    }
    | {"scale": (1.0,), "mean": (0.0,), "std": (1.0,)},
    "simulate": {"frames": None, "simulator": None, "stalls": None, "trace": False},
    "synth": {"seed": 1},
}


@pytest.mark.parametrize(
    ("function", "arguments", "positional", "named"),
    [
        ("check", ("check", "m.onnx", *NORMALIZE), ("m.onnx",), NORMALIZATION),
        (
            "quantize",
            (
                *("quantize", "m.onnx", "--calib", "c.npz", "-o", "n.npz"),
                *("--code", "pot3", "--act-bits", 5, "--method", "feedback", "--act-scale", "kl", *NORMALIZE),
                *("--codes", "pot3, int8", "--max-kib", 9.5, "--max-luts", 400, "--board", "b", "--target-fps", 30.5),
                *("--mean-act-bits", 5.5),
            ),
            ("m.onnx", "c.npz", "n.npz"),
            {"code": "pot3", "act_bits": 5, "method": "feedback", "act_scale": "kl", "codes": ["pot3", "int8"]}
            | {"max_kib": 9.5, "max_luts": 400, "board": "b", "target_fps": 30.5, "mean_act_bits": 5.5}
            | NORMALIZATION,
        ),
        ("evaluate", ("eval", "n.npz", "--data", "d.npz"), ("n.npz", "d.npz"), {}),
        (
            "compare",
            (
                *("compare", "m.onnx", "--calib", "c.npz", "--data", "d.npz", "--codes", "pot3", "--methods", "plain"),
                *("--act-bits", "8,4", "--groups", "0;1", "--board", "b", "--target-fps", 30.5, "--clock-mhz", 48),
                *("-o", "o.json", "--plot", "p.svg", *NORMALIZE),
            ),
            ("m.onnx", "c.npz"),
            {"data": Path("d.npz"), "codes": "pot3", "methods": "plain", "act_bits": "8,4", "groups": "0;1"}
            | {"board": "b", "target_fps": 30.5, "clock_mhz": 48.0, "output": Path("o.json"), "plot": Path("p.svg")}
            | NORMALIZATION,
        ),
        (
            "generate",
            ("generate", "n.npz", "--board", "b", "-o", "out", *PLANNING),
            ("n.npz", "out"),
            {"board": "b", **PLAN},
        ),
        (
            "simulate",
            ("simulate", "out", "--data", "d.npz", *RUNNING, "--trace"),
            ("out", "d.npz"),
            {**RUN, "trace": True},
        ),
        ("compare", ("compare", "m.onnx", "--calib", "c.npz"), ("m.onnx", "c.npz"), DEFAULTS["compare"]),
        ("simulate", ("simulate", "out", "--data", "d.npz"), ("out", "d.npz"), DEFAULTS["simulate"]),
        ("synth", ("synth", "out"), ("out",), DEFAULTS["synth"]),
        ("synth", ("synth", "out", "--seed", 12), ("out",), {"seed": 12}),
        (
            "build",
            (
                *("build", "m.onnx", "--calib", "c.npz", "--board", "b", "-o", "out", "--data", "d.npz"),
                *("--code", "e2m1", "--act-bits", 4, *NORMALIZE, *PLANNING, *RUNNING, "--seed", 12),
            ),
            ("m.onnx", "c.npz", "out"),
            {"board": "b", "data": Path("d.npz"), "code": "e2m1", "act_bits": 4, **NORMALIZATION, **PLAN, **RUN}
            | {"seed": 12, "method": "auto"},
        ),
        ("demo", ("demo", "-o", "out"), ("out",), {}),
    ],
)
def test_every_option_arrives(hwgen, monkeypatch, function, arguments, positional, named):
    seen = {}

    def record(*args, progress, **kwargs):
        seen.update(args=tuple(map(str, args)), kwargs=kwargs)
        return {"supported": True, "first_difference": None, "simulate": {"first_difference": None}}

    monkeypatch.setattr(api, function, record)
    code, out, err = hwgen(*arguments, "--json")
    assert (code, err) == (0, "")
    assert seen == {"args": positional, "kwargs": named}
    assert json.loads(out)["supported"] is True
