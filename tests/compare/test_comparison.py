"""The walk through the schemes: every figure is what the step that makes it says."""

import numpy as np
import pytest

from hwgen import boards
from hwgen.compare import Groups, Scheme, compare, parse_schemes
from hwgen.compare.outputs import Judge, float_outputs
from hwgen.errors import HwgenError
from hwgen.evaluate import evaluate
from hwgen.lower import evaluate as evaluate_float
from hwgen.network import Conv
from hwgen.plan import plan
from hwgen.quantize import quantize
from hwgen.quantize.frames import every_output
from hwgen.quantize.methods import METHODS

from ..quantize.conftest import float_graph_of
from .networks import CLASSES, frames, small

BOARD = boards.board("icebreaker")


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def data(model):
    """Images that calibrate, others that judge, and labels that the float network gets right two times in three."""
    x = frames(model, 90, seed=2)
    y = evaluate_float(model, x).reshape(90, -1).argmax(axis=1)
    y[::3] = (y[::3] + 1) % CLASSES
    return frames(model, 50), x, y


@pytest.fixture(scope="module")
def result(model, data):
    calibration, x, y = data
    lines = []
    found = compare(
        model,
        calibration,
        parse_schemes("e2m1,pot3", "plain,feedback", "8,4"),
        board=BOARD,
        data=x,
        y=y,
        groups=Groups.parse("0,1,2;3,4", CLASSES),
        progress=lines.append,
    )
    return found, lines


def test_every_figure_is_that_of_its_step(model, data, result):
    calibration, x, y = data
    found, _ = result
    assert (found["samples"], found["board"], found["clock_mhz"]) == (90, "icebreaker", BOARD.frequency_mhz)
    assert found["float_accuracy"] == 2 / 3
    for row in found["schemes"]:
        network = quantize(model, calibration, code=row["code"], method=row["method"], act_bits=row["act_bits"])
        evaluation = evaluate(model, network, x, y)
        assert row["accuracy"] == evaluation["accuracy"]
        noise = {layer["name"]: layer["sqnr_db"] for layer in evaluation["layers"]}
        assert {layer["name"]: layer["output_sqnr_db"] for layer in row["layers"]} == noise
        assert row["output_sqnr_db"] == pytest.approx(noise["dense"], abs=1e-4)
        planned = plan(network, BOARD, target_fps=found["target_fps"])
        assert (row["fits"], row["lut"], row["bram"]) == (True, planned.cost.lut, planned.cost.bram)
        assert row["weights"] == sum(layer.codes.size for layer in network.layers if isinstance(layer, Conv))
        assert row["failed"] is None
        assert row["coarse_accuracy"] >= row["accuracy"]
    assert found["float_coarse_accuracy"] >= found["float_accuracy"]


def test_schemes_differ(result):
    """Not one of them eight times."""
    rows = {(row["code"], row["method"], row["act_bits"]): row for row in result[0]["schemes"]}
    assert len(rows) == 8
    for method in ("plain", "feedback"):
        for bits in (8, 4):
            e2m1, pot3 = rows["e2m1", method, bits], rows["pot3", method, bits]
            assert 3 * e2m1["storage_bits"] == 4 * pot3["storage_bits"]
            assert e2m1["weight_sqnr_db"] > pot3["weight_sqnr_db"]
    for code in ("e2m1", "pot3"):
        # Feedback takes levels that are not the nearest ones.
        assert rows[code, "feedback", 8]["weight_sqnr_db"] < rows[code, "plain", 8]["weight_sqnr_db"]
        assert rows[code, "plain", 4]["output_sqnr_db"] < rows[code, "plain", 8]["output_sqnr_db"]


def test_progress_names_the_scheme(result):
    _, lines = result
    assert lines[0] == "running the float model"
    steps = ("calibrating", "quantizing dense", "evaluating", "planning")
    for index, name in ((1, "e2m1 plain, 8-bit activations"), (8, "pot3 feedback, 4-bit activations")):
        about = "\n".join(line for line in lines if line.startswith(f"scheme {index} of 8, {name}: "))
        assert [step for step in steps if step in about] == list(steps)


def without_time(result):
    return {**result, "schemes": [{**row, "seconds": None} for row in result["schemes"]]}


def test_labels_are_for_accuracies_alone(model, data, result):
    calibration, x, _ = data
    found, _ = result
    schemes = parse_schemes("e2m1,pot3", "plain,feedback", "8,4")
    bare = compare(model, calibration, schemes, board=BOARD, data=x)
    accuracies = dict.fromkeys(("accuracy", "coarse_accuracy"))
    stripped = [{**row, **accuracies} for row in found["schemes"]]
    expected = {**found, "float_accuracy": None, "float_coarse_accuracy": None, "schemes": stripped}
    assert without_time(bare) == without_time(expected)


def test_data_is_the_calibration_by_default(model, data):
    calibration, _, _ = data
    schemes = [Scheme("pot3", "plain", 8)]
    alone = compare(model, calibration, schemes, board=BOARD)
    both = compare(model, calibration, schemes, board=BOARD, data=calibration)
    assert without_time(alone) == without_time(both)
    assert alone["samples"] == 50


def test_a_scheme_that_fails_has_a_row_and_the_others_go_on(model, data):
    schemes = [Scheme("own", "plain", 8), Scheme("pot3", "plain", 8)]
    found = compare(model, data[0], schemes, board=BOARD)
    failed, fine = found["schemes"]
    assert "holds no weights as codes of its own" in failed["failed"]
    assert set(failed) == set(fine)
    assert failed["layers"] == failed["notes"] == []
    assert all(failed[key] is None for key in ("weights", "storage_bits", "lut", "fits", "accuracy"))
    assert fine["weights"] == 4 * 18 + CLASSES * 36
    assert found["target_fps"] is not None
    with pytest.raises(HwgenError, match="holds no weights as codes of its own"):
        compare(model, data[0], schemes[:1], board=BOARD)


def test_networks_that_a_method_rewrites(model, data):
    """The weights are compared with those that were coded, the outputs with those of the model itself."""
    assert "equalise" in METHODS
    found = compare(model, data[0], parse_schemes("e2m2", "plain equalise+plain"), board=BOARD)
    plain, equalised = found["schemes"]
    assert equalised["failed"] is None
    assert equalised["layers"][1]["highest"] != plain["layers"][1]["highest"]
    for row in (plain, equalised):
        assert all(layer["weight_sqnr_db"] > 20 for layer in row["layers"])
        assert row["output_sqnr_db"] == pytest.approx(row["layers"][-1]["output_sqnr_db"], abs=0.1)


def test_graphs_of_several_inputs_and_outputs():
    model = float_graph_of(0)
    rng = np.random.default_rng(3)
    x = {source.name: rng.integers(0, 256, (12, *source.shape)).astype(np.uint8) for source in model.inputs}
    found = compare(model, x, [Scheme("e2m1", "plain", 8)], board=boards.board("ulx3s-85f"))
    (row,) = found["schemes"]
    network = quantize(model, x, code="e2m1", method="plain")
    noise = {layer["name"]: layer["sqnr_db"] for layer in evaluate(model, network, x, None)["layers"]}
    assert row["output_sqnr_db"] == pytest.approx(noise[model.outputs[0]], abs=1e-3)
    assert [layer["name"] for layer in row["layers"]] == [
        layer.name for layer in network.layers if isinstance(layer, Conv)
    ]


def test_outputs_come_in_batches_and_in_order(model, monkeypatch):
    x = frames(model, 23)
    whole = every_output(model, {"x": x})["dense"]
    monkeypatch.setattr("hwgen.compare.outputs.frames_per_batch", lambda model: 5)
    assert float_outputs(model, {"x": x}) == pytest.approx(whole, rel=1e-4)


def test_values_beyond_every_number_are_no_noise():
    judge = Judge(np.array([[1.0, -np.inf], [2.0, 0.0]]), None, None)
    assert judge.sqnr_db(np.array([[1.5, -100.0], [2.0, 0.0]])) == pytest.approx(10 * np.log10(5 / 0.25))
    assert judge.accuracy(np.zeros((2, 2))) == {"accuracy": None, "coarse_accuracy": None}
