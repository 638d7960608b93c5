"""The steps as functions, on the demo's model: what they return, what they leave on disk, how they fit together."""

import hashlib
import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hwgen import HwgenError, api, demo, store
from hwgen.figures import sustained
from hwgen.files import write_json
from hwgen.floatmodel import companion, kept_model

FLOAT_ACCURACY = 354 / 360


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The file, what ``quantize`` returned, and the lines of progress."""
    path = tmp_path_factory.mktemp("network") / "net.npz"
    lines = []
    result = api.quantize(
        demo.model_path(), str(demo.calibration_path()), path, scale=demo.SCALE, progress=lines.append
    )
    return path, result, lines


def test_quantize(network):
    path, result, lines = network
    loaded = store.load(path)
    assert result["identity"] == store.identity(loaded)
    assert (result["samples"], result["macs"], result["parameters"]) == (256, 23680, 72 + 1152 + 640)
    assert [row["kind"] for row in result["layers"]] == ["conv", "max pool", "conv", "max pool", "conv"]
    assert [row["shape"] for row in result["layers"]] == [[8, 8, 8], [4, 4, 8], [4, 4, 16], [2, 2, 16], [1, 1, 10]]
    assert [row["weight_bits"] for row in result["layers"]] == [4, 0, 4, 0, 4]
    assert result["storage"]["weights"] == result["parameters"]
    assert result["storage"]["storage_bits"] == sum(row["storage_bits"] for row in result["layers"]) == 4 * 1864
    assert 0 < result["storage"]["entropy_bits"] < result["storage"]["best_bits"] <= result["storage"]["storage_bits"]
    assert sorted(p.name for p in path.parent.iterdir() if "eval" not in p.name) == [
        "net.float.onnx",
        "net.npz",
        "net.quantize.json",
    ]
    assert json.loads(path.with_suffix(".quantize.json").read_text()) == result
    assert lines[-1] == "quantized, 100 %"


def test_quantize_is_reproducible(network, tmp_path):
    path, result, _ = network
    again = api.quantize(demo.model_path(), demo.calibration_path(), tmp_path / "net.npz", scale=[demo.SCALE])
    assert again["identity"] == result["identity"]
    files = [hashlib.sha256((folder / "net.npz").read_bytes()).digest() for folder in (path.parent, tmp_path)]
    assert files[0] == files[1]


def test_code_and_bits_reach_the_quantizer(tmp_path):
    result = api.quantize(
        demo.model_path(), demo.calibration_path(), tmp_path / "n.npz", scale=demo.SCALE, code="pot3", act_bits=4
    )
    assert [row["weight_bits"] for row in result["layers"] if row["kind"] == "conv"] == [3, 3, 3]
    assert result["layers"][0]["activation_bits"] == 4


def test_the_method_reaches_the_quantizer_and_the_record(network, tmp_path):
    _, auto, _ = network
    place = tmp_path / "n.npz"
    result = api.quantize(demo.model_path(), demo.calibration_path(), place, scale=demo.SCALE, method="plain")
    record = json.loads(place.with_suffix(".quantize.json").read_text())
    assert (auto["method"], result["method"], record["method"]) == ("auto", "plain", "plain")
    assert result["identity"] != auto["identity"]


def demo_quantized(place, **options):
    return api.quantize(demo.model_path(), demo.calibration_path(), place, scale=demo.SCALE, method="plain", **options)


def test_a_budget_of_memory_gives_each_layer_its_code(tmp_path):
    full = demo_quantized(tmp_path / "full.npz", code="e2m2")["storage"]["storage_bits"] / 8192
    result = demo_quantized(tmp_path / "n.npz", max_kib=0.7 * full, codes=("pot3", "e2m1", "e2m2"))
    assert result["code"] == "pot3,e2m1,e2m2"
    assert result["storage"]["storage_bits"] / 8192 <= 0.7 * full
    assert len({row["weight_bits"] for row in result["layers"] if row["kind"] == "conv"}) > 1


def test_a_budget_of_luts_is_kept_by_the_plan(tmp_path):
    def luts(path):
        plan = api.generate(path, tmp_path / f"core_{path.stem}", board="icebreaker", target_fps=2000)["plan"]
        return plan["lut"]

    least, most = (luts(Path(demo_quantized(tmp_path / f"{c}.npz", code=c)["network"])) for c in ("pot3", "e2m2"))
    budget = (least + most) // 2
    options = {"codes": ("pot3", "e2m2"), "board": "icebreaker", "target_fps": 2000}
    result = demo_quantized(tmp_path / "n.npz", max_luts=budget, **options)
    assert {row["weight_bits"] for row in result["layers"] if row["kind"] == "conv"} == {3, 5}
    assert 0.8 * budget <= luts(tmp_path / "n.npz") <= budget
    with pytest.raises(HwgenError, match="too small"):
        demo_quantized(tmp_path / "n.npz", max_luts=10, **options)


def test_activation_bits_on_average(tmp_path):
    result = demo_quantized(tmp_path / "n.npz", mean_act_bits=5)
    assert result["act_bits"] == 5
    assert {row["activation_bits"] for row in result["layers"][:-1]} <= {4, 6, 8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_kib": 1.0, "max_luts": 10}, "give only one of --max-kib and --max-luts"),
        ({"max_luts": 10, "board": "icebreaker"}, "needs the board and the frames"),
        ({"target_fps": 10.0}, "give --max-luts as well"),
        ({"max_kib": 0.01}, "too small"),
        ({"codes": ("pot3", "e2m1")}, "need a budget, --max-kib or --max-luts"),
        ({"max_kib": 1.0, "codes": ("best",)}, "code 'best' is not known"),
    ],
)
def test_budgets_that_make_no_sense(tmp_path, options, message):
    with pytest.raises(HwgenError, match=message):
        demo_quantized(tmp_path / "n.npz", **options)


@pytest.mark.parametrize("method", ["equalise+plain", "split:ratio=1.5+plain", "factorise:error=0.5+plain"])
def test_a_rewritten_network_is_compared_with_the_rewritten_model(tmp_path, method):
    place = tmp_path / "n.npz"
    api.quantize(demo.model_path(), demo.calibration_path(), place, scale=demo.SCALE, method=method)
    result = api.evaluate(place, demo.test_path())
    assert result["float_accuracy"] > 0.9
    assert all(row["sqnr_db"] > 8 for row in result["layers"])


def test_evaluate(network):
    path, quantized, _ = network
    result = api.evaluate(path, demo.test_path())
    assert result["samples"] == 360
    assert result["float_accuracy"] == pytest.approx(FLOAT_ACCURACY)
    # One percentage point, that is 3.6 images: what 4-bit weights may cost here.
    assert result["accuracy"] >= FLOAT_ACCURACY - 0.01
    assert [row["name"] for row in result["layers"]] == [row["name"] for row in quantized["layers"]]
    assert all(10 < row["sqnr_db"] < 60 for row in result["layers"])
    assert json.loads(path.with_suffix(".eval.json").read_text()) == result


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """A network file of two nested terms, and the folder of those that are made of it."""
    path = tmp_path_factory.mktemp("layered") / "net.npz"
    api.quantize(demo.model_path(), demo.calibration_path(), path, scale=demo.SCALE, method="layering")
    return path


def test_drop(layered, tmp_path):
    place = tmp_path / "short.npz"
    result = api.drop(layered, place, terms=1)
    long, short = store.load(layered), store.load(place)
    assert result["identity"] == store.identity(short)
    assert [row["weight_bits"] for row in result["layers"]] == [4, 0, 4, 0, 4]
    assert (result["terms"], result["samples"]) == (1, None)
    assert json.loads((tmp_path / "short.drop.json").read_text()) == result
    for one, other in zip(long.layers, short.layers, strict=True):
        if hasattr(one, "codes"):
            assert (one.codes >> 4 == other.codes).all()
            assert (one.requant.add == other.requant.add).all()
    # The float model came along, marked as this network's.
    assert kept_model(short, place).input_shape == (8, 8, 1)
    assert api.evaluate(place, demo.test_path())["float_accuracy"] == pytest.approx(FLOAT_ACCURACY)


def test_drop_corrects_biases_where_there_is_data(layered, tmp_path):
    lines = []
    result = api.drop(layered, tmp_path / "n.npz", terms=1, calibration=demo.calibration_path(), progress=lines.append)
    assert result["samples"] == 256
    assert lines == ["correcting biases"]
    kept = api.drop(layered, tmp_path / "m.npz", terms=1)
    assert kept["identity"] != result["identity"]
    # One percentage point, as for weights that were rounded to 4 bits from the start.
    assert api.evaluate(tmp_path / "n.npz", demo.test_path())["accuracy"] >= FLOAT_ACCURACY - 0.01


def test_drop_refuses_and_leaves_nothing(network, layered, tmp_path):
    with pytest.raises(HwgenError, match="terms must be 1 to 1, fewer than the 2"):
        api.drop(layered, tmp_path / "n.npz", terms=2)
    with pytest.raises(HwgenError, match="codes are not nested"):
        api.drop(network[0], tmp_path / "n.npz", terms=1)
    shutil.copyfile(layered, tmp_path / "wrong.npz")
    shutil.copyfile(companion(network[0]), companion(tmp_path / "wrong.npz"))
    with pytest.raises(HwgenError, match=r"is not the float model that wrong\.npz was made from"):
        api.drop(tmp_path / "wrong.npz", tmp_path / "n.npz", terms=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.float.onnx", "wrong.npz"]
    # Without a float model there is none to keep.
    companion(tmp_path / "wrong.npz").unlink()
    api.drop(tmp_path / "wrong.npz", tmp_path / "n.npz", terms=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.drop.json", "n.npz", "wrong.npz"]


def test_evaluate_without_labels(network, tmp_path):
    path, _, _ = network
    np.savez(tmp_path / "x.npz", x=np.load(demo.test_path())["x"][:5])
    result = api.evaluate(path, tmp_path / "x.npz")
    assert (result["samples"], result["float_accuracy"], result["accuracy"]) == (5, None, None)


def test_labels_beyond_the_outputs_are_refused(network, tmp_path):
    np.savez(tmp_path / "one_based.npz", x=np.zeros((10, 64), np.uint8), y=np.arange(1, 11))
    with pytest.raises(HwgenError, match=r"one_based\.npz: labels y go up to 10, but the network has 10 outputs"):
        api.evaluate(network[0], tmp_path / "one_based.npz")


def test_normalization_matters(network, tmp_path):
    """Without the scale that it was trained with, the model is another function."""
    api.quantize(demo.model_path(), demo.calibration_path(), tmp_path / "net.npz")
    result = api.evaluate(tmp_path / "net.npz", demo.test_path())
    assert result["float_accuracy"] < FLOAT_ACCURACY


def test_progress_is_optional_everywhere():
    for name in api.__all__:
        if name != "Progress":
            assert inspect.signature(getattr(api, name)).parameters["progress"].default is None


@pytest.mark.synth
def test_generate(network, tmp_path):
    path, quantized, _ = network
    result = api.generate(path, tmp_path / "out", board="icebreaker", target_fps=1000)
    assert json.loads((tmp_path / "out" / "generate.json").read_text()) == result
    assert result["board"] == "icebreaker"
    assert result["identity"] == quantized["identity"]
    assert result["plan"]["frames_per_second"] >= 1000
    for name in (*result["sources"], result["constraints"]):
        assert (tmp_path / "out" / name).stat().st_size > 0
    # The folder's own network can be evaluated like the one that it was made from.
    kept = tmp_path / "out" / "network.npz"
    assert companion(kept).read_bytes() == companion(path).read_bytes()
    assert api.evaluate(kept, demo.test_path())["samples"] == 360
    # A failure leaves the folder as it was, a success replaces it.
    before = sorted(p.name for p in (tmp_path / "out").iterdir())
    with pytest.raises(HwgenError, match="100 may be used"):
        api.generate(path, tmp_path / "out", board="icebreaker", max_luts=100)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == before
    api.generate(path, tmp_path / "out", board="ulx3s-25f", target_fps=1000)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["board"] == "ulx3s-25f"


SYNTHESIS = {"cycles_per_frame": 1000, "lut": 500, "inferences_per_second": 30.0, "gops": 6.0, "gops_per_klut": 12.0}


def test_throughput_without_a_simulation(tmp_path):
    assert sustained(tmp_path, SYNTHESIS) == {"cycles_measured": False}


def test_throughput_from_a_simulation(tmp_path):
    """Half as many cycles again: two thirds of the rate."""
    write_json(tmp_path / "simulate.json", {"cycles_per_frame": 1500})
    assert sustained(tmp_path, SYNTHESIS) == {
        "cycles_measured": True,
        "cycles_per_frame": 1500,
        "inferences_per_second": pytest.approx(20),
        "gops": pytest.approx(4),
        "gops_per_klut": pytest.approx(8),
    }


@pytest.mark.slow
@pytest.mark.cosim
@pytest.mark.synth
def test_demo(tmp_path):
    """The whole way, and every step's record in the folder."""
    place = tmp_path / "demo"
    result = api.demo(place)
    assert result["eval"]["float_accuracy"] == pytest.approx(FLOAT_ACCURACY)
    assert (result["simulate"]["frames"], result["simulate"]["mismatches"]) == (360, 0)
    assert result["synth"]["dsp"] == 0
    assert result["synth"]["cycles_measured"] is True
    assert result["synth"]["inferences_per_second"] == pytest.approx(
        result["synth"]["fmax_mhz"] * 1e6 / result["simulate"]["cycles_per_frame"], rel=1e-4
    )
    assert (place / "top.bin").stat().st_size > 50_000
    names = {"quantize": "network.quantize.json", "eval": "network.eval.json"}
    for step in ("quantize", "eval", "generate", "simulate", "synth"):
        assert json.loads((place / names.get(step, f"{step}.json")).read_text()) == result[step]
    assert json.loads((place / "build.json").read_text()) == result
    # A core that is not the reference's is caught, and the first difference is named.
    shutil.copytree(place, tmp_path / "broken", ignore=shutil.ignore_patterns("build"))
    other = tmp_path / "other.npz"
    api.quantize(demo.model_path(), demo.test_path(), other, scale=demo.SCALE)
    shutil.copyfile(other, tmp_path / "broken" / "network.npz")
    wrong = api.simulate(tmp_path / "broken", demo.test_path(), frames=2)
    assert wrong["mismatches"] > 0
    assert wrong["first_difference"]["layer"]
