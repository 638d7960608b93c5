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
