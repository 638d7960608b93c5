"""The MLPerf Tiny networks and a ResNet-20, from ONNX to simulated Verilog: every layer of whole frames is compared."""

import numpy as np
import pytest

from hwgen import api

from .real_models import MODELS

pytestmark = pytest.mark.slow

FRAMES = 3


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.mark.cosim
def test_every_layer_equals_the_reference(model, real_data, tmp_path):
    """Whole frames under random stalls, every intermediate tensor as well as the result."""
    samples = model.samples(real_data)
    np.savez(tmp_path / "calibration.npz", x=samples.calibration)
    np.savez(tmp_path / "test.npz", x=samples.test[: FRAMES + 4])
    network, core = tmp_path / "network.npz", tmp_path / "core"
    api.quantize(real_data / model.file, tmp_path / "calibration.npz", network, **model.normalization)
    plan = api.generate(network, core, board="ulx3s-85f")["plan"]
    simulated = api.simulate(core, tmp_path / "test.npz", frames=FRAMES + 4, stalls=1, trace=True)
    assert (simulated["frames"], simulated["mismatches"], simulated["first_difference"]) == (FRAMES + 4, 0, None)
    assert simulated["cycles_per_frame"] <= 1.02 * plan["cycles_per_frame"]


@pytest.mark.parametrize(
    ("name", "code", "points"), [("resnet8", "e2m1", 1.0), ("resnet8", "pot3", 3.0), ("kws", "pot3", 4.0)]
)
def test_three_and_four_bits_cost_little(real_data, tmp_path, name, code, points):
    """The goals of ``benchmarks/accuracy.py`` on its own samples, of which plain rounding is far away."""
    model = MODELS[name]
    samples = model.samples(real_data)
    np.savez(tmp_path / "calibration.npz", x=samples.calibration[:1000])
    np.savez(tmp_path / "test.npz", x=samples.test, y=samples.labels)
    lost = {}
    for method in ("plain", "auto"):
        place = tmp_path / f"{method}.npz"
        api.quantize(real_data / model.file, tmp_path / "calibration.npz", place, code=code, method=method)
        result = api.evaluate(place, tmp_path / "test.npz")
        lost[method] = 100 * (result["float_accuracy"] - result["accuracy"])
    assert lost["auto"] <= points
    assert lost["plain"] > lost["auto"] + 2
