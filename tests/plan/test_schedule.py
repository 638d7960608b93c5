"""Depths of FIFOs from the schedule alone; that cores keep their rate with them is shown in tests/rtl/test_branches."""

import time

import numpy as np
import pytest

from hwgen.boards import board
from hwgen.floatnet import PoolKind
from hwgen.network import Network
from hwgen.plan import plan
from hwgen.plan.schedule import cycles_per_frame, schedule
from hwgen.sizing.folding import Folding
from hwgen.sizing.graph import Edge

from ..graphs import residual, two_ends
from ..networks import SIGNED, add, conv, network, pool, tensor


def resnet(blocks: int, widths=(16, 32, 64), side=32) -> Network:
    """The shape of a CIFAR ResNet: three stages of ``blocks`` residual blocks, 1x1 convolutions where they shrink."""
    rng = np.random.default_rng(0)
    source = tensor((side, side, 3))
    layers = []

    def conv_of(last, outputs, size, stride, name):
        pads = (size // 2,) * 4
        layers.append(conv(rng, last, outputs, (size, size), stride=(stride, stride), pads=pads, name=name))
        return layers[-1].output

    last = conv_of(source, widths[0], 3, 1, "stem")
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride, name = 2 if stage and not block else 1, f"s{stage}b{block}"
            inner = conv_of(conv_of(last, width, 3, stride, f"{name}a"), width, 3, 1, f"{name}b")
            skip = conv_of(last, width, 1, stride, f"{name}s") if stride > 1 else last
            layers.append(add(rng, [skip, inner], name=name))
            last = layers[-1].output
    layers.append(pool(rng, last, PoolKind.AVERAGE, last.shape[:2], (1, 1), name="mean"))
    layers.append(conv(rng, layers[-1].output, 10, (1, 1), output=SIGNED, name="classes"))
    return network(*layers, source=source)


def test_a_chain_needs_no_fifo():
    rng = np.random.default_rng(0)
    source = tensor((8, 8, 2))
    a = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), name="a")
    b = pool(rng, a.output, PoolKind.MAX, (2, 2), (2, 2), name="b")
    c = conv(rng, b.output, 6, (3, 3), pads=(1, 1, 1, 1), name="c")
    d = conv(rng, c.output, 3, (4, 4), output=SIGNED, name="d")
    net = network(a, b, c, d, source=source)
    chosen = [Folding.of(a, 2, 2), Folding(2, 2, 2), Folding.of(c, 2, 4), Folding.of(d, 1, 1)]
    assert schedule(net, chosen, cycles_per_frame(net, chosen)).depths == {}


def test_inputs_that_never_met_before_wait_at_their_sources():
    net = two_ends(np.random.default_rng(0))
    chosen = [Folding(2, 2, 1), Folding(4, 4, 4), Folding(1, 1, 1)]
    assert schedule(net, chosen, cycles_per_frame(net, chosen)).depths == {}


@pytest.mark.parametrize(
    ("kernel", "pad", "unroll"),
    [(1, 0, (1, 1)), (3, 1, (1, 1)), (3, 1, (3, 1)), (3, 1, (3, 3)), (5, 2, (1, 1)), (5, 2, (1, 5))],
)
def test_the_least_depth_is_what_the_window_needs(kernel, pad, unroll):
    """The first sum needs the first window: ``pad`` rows and ``pad + 1`` pixels of the second branch's input.

    With one word per pixel. The fork holds one word that the window has and the FIFO has not.
    """
    width, side = 7, (kernel, kernel)
    net = residual(np.random.default_rng(0), shape=(6, width, 1), kernel=side, pads=(pad,) * 4)
    chosen = [Folding(1, 1, 1, unroll), Folding(1, 1, 1, unroll), Folding(1, 1, 1)]
    found = schedule(net, chosen, cycles_per_frame(net, chosen))
    assert found.least_depth(Edge("a", "c", 0)) == pad * width + pad


def test_a_slower_frame_never_needs_deeper_fifos_than_its_words():
    """However slow, no more than what the longer branch holds; and never less than what keeps it from deadlock."""
    net = residual(np.random.default_rng(0), shape=(6, 6, 2), kernel=(3, 3), pads=(1, 1, 1, 1))
    chosen = [Folding.of(layer, 2, 2) for layer in net.layers]
    edge = Edge("a", "c", 0)
    period = cycles_per_frame(net, chosen)
    depths = [schedule(net, chosen, period * factor).depths[edge] for factor in (1, 2, 5, 20)]
    least = schedule(net, chosen, period).least_depth(edge)
    assert all(least <= depth <= 6 * 6 * 2 for depth in depths)


@pytest.mark.parametrize("blocks", [1, 3], ids=["resnet8", "resnet20"])
def test_resnets(blocks):
    """One FIFO per skip, within a third over the least where the branches have the same stride; and soon found."""
    net = resnet(blocks)
    started = time.monotonic()
    found = plan(net, board("ulx3s-85f"), target_fps=100)
    assert time.monotonic() - started < 5
    adds = [layer for layer in net.layers if len(layer.sources) == 2]
    assert {edge.consumer for edge in found.fifos} == {layer.name for layer in adds}
    assert {edge.index for edge in found.fifos} == {0}, "the short branch is the first source of every sum"
    made = schedule(net, found.foldings, found.cycles_per_frame)
    assert made.depths == found.fifos
    for edge, depth in found.fifos.items():
        least = made.least_depth(edge)
        if edge.source.endswith("s"):
            assert least <= depth, "a skip's own line buffer may be enough to go on, not to go on without waiting"
        else:
            assert least <= depth <= 4 / 3 * least


def test_the_plan_lists_fifos_and_ends():
    found = plan(residual(np.random.default_rng(0)), board("icebreaker"))
    result = found.as_dict()
    ((edge, depth),) = found.fifos.items()
    (fifo,) = result["fifos"]
    assert (fifo["source"], fifo["consumer"], fifo["index"], fifo["depth"]) == ("a", "c", 0, depth)
    assert edge == Edge("a", "c", 0)
    assert fifo["bits"] == 8 * found.foldings[0].lanes
    assert fifo["bram"] == 1, "iCE40 has no other memory"
    simd = found.foldings[0].simd
    assert result["inputs"] == [{"name": "x", "lanes": simd, "cycles": 24 // simd}]
    (port,) = result["outputs"]
    assert port == {"name": "c", "lanes": port["lanes"], "cycles": 24 // port["lanes"]}
    parts = sum(layer["lut"] for layer in result["layers"]) + fifo["lut"]
    assert 0 < result["lut"] - parts < 400, "the shell"
