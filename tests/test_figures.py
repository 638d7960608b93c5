"""What is said about each layer of a network."""

import numpy as np

from hwgen.figures import layer_rows
from hwgen.quantize import quantize
from hwgen.storage import layer_storage

from .quantize.conftest import float_graph_of


def test_every_layer_kind_has_a_name_and_its_weights():
    rng = np.random.default_rng(0)
    x = {"left": rng.normal(0, 1, (10, 8, 9, 2)), "right": rng.integers(0, 5, (10, 8, 9, 3)).astype(np.uint8)}
    network = quantize(float_graph_of(1), x)
    rows = {row["name"]: row for row in layer_rows(network)}
    stored = next(layer_storage(layer) for layer in network.layers if layer.name == "depthwise")
    assert [row["kind"] for row in rows.values()] == [
        "conv", "depthwise conv", "add", "conv", "concat", "average pool", "table", "table", "remap", "max pool",
        "conv",
    ]  # fmt: skip
    assert rows["depthwise"] == {
        "name": "depthwise",
        "kind": "depthwise conv",
        "shape": (8, 9, 4),
        "macs": 8 * 9 * 4 * 9,
        "weights": 4 * 9,
        "weight_bits": 4,
        "activation_bits": 8,
        **{name: getattr(stored, name) for name in ("storage_bits", "ham_bits", "sham_bits", "entropy_bits")},
    }
    assert rows["depthwise"]["storage_bits"] == 4 * 4 * 9
    assert rows["grouped"]["weights"] == 6 * 3 * 2
    assert rows["sum"]["macs"] == rows["silu"]["weights"] == rows["pad"]["weight_bits"] == rows["sum"]["ham_bits"] == 0
