"""The exported model computes the integers of the reference, in the executor of the qonnx package, layer by layer."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import qonnx.core.onnx_exec as executor
from qonnx.core.modelwrapper import ModelWrapper

from hwgen import api, store
from hwgen.cli.main import app
from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.export.qonnx import export, to_qonnx
from hwgen.floatnet import PoolKind
from hwgen.importers import load_model
from hwgen.importers.quantizers import is_quantizer
from hwgen.interval import Interval
from hwgen.lower import lower
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run

from ..fuzz.grow import random_network
from ..networks import BYTE, SIGNED, conv, frames, network, pool, tensor


@pytest.fixture(autouse=True)
def _known_ir_version(monkeypatch):
    """The executor writes one-node models in the newest format of ``onnx``, which ONNX Runtime may not know yet."""
    make = executor.qonnx_make_model

    def made(*args, **options):
        model = make(*args, **options)
        model.ir_version = 10
        return model

    monkeypatch.setattr(executor, "qonnx_make_model", made)


def _same_integers(net, x):
    """Every tensor of ``net`` in the exported model equals the reference's for ``x``, a dict of (N, H, W, C)."""
    model = to_qonnx(net)
    onnx.checker.check_model(model, full_check=False)
    wrapper = ModelWrapper(model)
    expected = run(net, x, every=True)
    for frame in range(len(next(iter(x.values())))):
        feeds = {
            f"{name}_raw": np.ascontiguousarray(data[frame : frame + 1].transpose(0, 3, 1, 2), np.float32)
            for name, data in x.items()
        }
        actual = executor.execute_onnx(wrapper, feeds, return_full_exec_context=True)
        for name, values in expected.items():
            np.testing.assert_array_equal(actual[name].transpose(0, 2, 3, 1)[0], values[frame], err_msg=name)
    return model


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed):
    net = random_network(seed)
    rng = np.random.default_rng(seed)
    _same_integers(net, {source.name: frames(rng, source, 2) for source in net.inputs})


@pytest.mark.parametrize("code", CODES)
def test_codes(code):
    rng = np.random.default_rng(3)
    source = tensor((5, 4, 3), SIGNED)
    layer = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), book=code)
    net = network(layer, source=source)
    model = _same_integers(net, {"x": frames(rng, source, 2)})
    kinds = [node.op_type for node in model.graph.node if is_quantizer(node)]
    floats = code in ("e2m1", "e3m1", "e2m2", "pot3", "pot4", "pot5", "apot3")
    assert kinds == ["Quant", "FloatQuant" if floats else "Quant", "Quant"]


def test_sums_beyond_single_precision():
    """Levels up to 2**14 on 8 bits and many taps: float32 alone would round."""
    rng = np.random.default_rng(4)
    source = tensor((3, 3, 64), BYTE)
    layer = conv(rng, source, 2, (3, 3), book="pot5")
    levels = layer.codebook.decode(layer.codes)
    assert np.abs(levels).reshape(2, -1).sum(axis=1).max() * 255 > 1 << 24
    model = _same_integers(network(layer, source=source), {"x": frames(rng, source, 4)})
    assert sum(node.op_type == "Conv" for node in model.graph.node) > 1


def test_padding_with_the_models_own_zero():
    rng = np.random.default_rng(5)
    source = tensor((4, 4, 3), BYTE)
    for values in ([7, 7, 7], [3, 0, 250]):
        layer = conv(rng, source, 4, (3, 3), pads=(2, 1, 0, 1))
        layer = replace(layer, pad_value=np.array(values))
        _same_integers(network(layer, source=source), {"x": frames(rng, source, 2)})


@pytest.mark.parametrize("kind", PoolKind)
def test_pools_with_windows_in_the_padding(kind):
    rng = np.random.default_rng(6)
    source = tensor((4, 5, 2), Interval(-100, -3))
    layer = pool(rng, source, kind, (2, 2), (1, 1), pads=(2, 2, 2, 2), output=SIGNED)
    _same_integers(network(layer, source=source), {"x": frames(rng, source, 2)})


@pytest.mark.parametrize("model", ["mnist/mnist8_cntk.onnx", "mlperf-tiny/resnet8.onnx", "mlperf-tiny/kws_int8.tflite"])
def test_real_networks(real_data, model):
    float_network = lower(load_model(real_data / model))
    shape = float_network.input_shape
    rng = np.random.default_rng(8)
    raw = rng.normal(0, 20, (16, *shape)) if "kws" in model else rng.integers(0, 256, (16, *shape), np.uint8)
    net = quantize(float_network, raw, code="own" if "int8" in model else "e2m1")
    _same_integers(net, {net.input.name: quantize_input(net, raw[:3])})


def test_it_runs_in_onnx_runtime_without_its_quantizers():
    """They change nothing: with Identity nodes in their place, any ONNX executor gives the same integers."""
    net = random_network(5)
    rng = np.random.default_rng(5)
    x = {source.name: frames(rng, source, 1) for source in net.inputs}
    model = to_qonnx(net)
    for node in model.graph.node:
        if is_quantizer(node):
            plain = onnx.helper.make_node("Identity", node.input[:1], node.output[:1])
            node.CopyFrom(plain)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {f"{name}_raw": data.transpose(0, 3, 1, 2).astype(np.float32) for name, data in x.items()}
    results = dict(zip(net.outputs, session.run(list(net.outputs), feeds), strict=True))
    expected = run(net, x, every=True)
    for name in net.outputs:
        np.testing.assert_array_equal(results[name].transpose(0, 2, 3, 1), expected[name])


def test_metadata_says_what_a_unit_is():
    net = random_network(2)
    entries = {entry.key: float(entry.value) for entry in to_qonnx(net).metadata_props}
    assert entries == {
        f"hwgen.scale.{name}": net.tensor(name).scale for name in {*(i.name for i in net.inputs), *net.outputs}
    }


def test_the_command(tmp_path, capsys):
    net = random_network(7)
    path, target = tmp_path / "net.npz", tmp_path / "net.onnx"
    store.save(net, path)
    app(["export", str(path), "-o", str(target), "--json"], standalone_mode=False)
    result = json.loads(capsys.readouterr().out)
    assert (result["model"], result["identity"]) == (str(target), store.identity(net))
    assert onnx.load(target) == to_qonnx(net)
    assert api.export(path, target)["nodes"] == result["nodes"]


def test_places_that_cannot_be_written(tmp_path):
    net = random_network(7)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name, reason in (
        ("net.npz", "must end in .onnx; rename it"),
        ("folder.onnx", "is a folder; give a file name"),
        ("file/net.onnx", "lies below a file"),
    ):
        with pytest.raises(HwgenError, match=reason):
            export(net, tmp_path / name)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.onnx"]
