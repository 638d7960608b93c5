"""The core in simulation: a whole small network, damaged frames between good ones, the counters."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Network
from hwgen.plan import Folding
from hwgen.rtl.top import Core, engine_name

from ..graphs import two_ends
from ..networks import BYTE, SIGNED, conv, frames, network, pool, tensor
from .play import beats_of, check_frames

LOGITS = Interval.of_bits(20, signed=True)


def small(interval: Interval = BYTE) -> tuple[Network, list[Folding]]:
    """Padded convolution, maximum, 1x1 convolution, average over the map, dense: every kind of feeder."""
    rng = np.random.default_rng(3)
    source = tensor((5, 4, 2), interval)
    a = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), name="a")
    b = pool(rng, a.output, PoolKind.MAX, (2, 2), (2, 2), name="b")
    c = conv(rng, b.output, 6, (1, 1), output=SIGNED, name="c")
    d = pool(rng, c.output, PoolKind.AVERAGE, (2, 2), (1, 1), name="d")
    e = conv(rng, d.output, 3, (1, 1), output=LOGITS, name="e")
    return network(a, b, c, d, e, source=source), [
        Folding(2, 2, 1),
        Folding(2, 2, 2),
        Folding(3, 4, 1),
        Folding(2, 2, 2),
        Folding(1, 3, 1),
    ]


def check_core(net, foldings, x, *, lanes=None, cut=(), stretch=(), **stalls):
    """Send ``x``; frames in ``cut`` lose their last beat, those in ``stretch`` get two more. Good frames must be exact.

    Returns the counters and the cycle of every frame's end.
    """
    core = Core(net, foldings, lanes=lanes, identity=0x0123_4567_89AB_CDEF)
    (i,), (o,) = core.inputs, core.outputs
    sent, seen_as = damage(i, x, cut, stretch)
    played = check_frames(net, core, {i.tensor: seen_as}, wrong={*cut, *stretch}, sent={i.tensor: sent}, **stalls)
    assert played.counters["identity"] == 0x0123_4567_89AB_CDEF
    return played.counters, played.ends(o)


def damage(i, x, cut, stretch):
    """Beats of ``x`` with some frames damaged, and the frames that the core must take them for."""
    sent, seen_as = [], x.copy()
    for index, frame in enumerate(x):
        beats = beats_of(frame, i.lanes)
        assert len(beats) == i.beats
        if index in cut:
            beats = beats[:-1]
            seen_as[index].reshape(-1)[-i.lanes :] = 0  # the missing beat is read as zeros
        if index in stretch:
            beats += [0xFF, 0xFF]
        sent.append(beats)
    return sent, seen_as


@pytest.mark.parametrize("interval", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_equals_reference(interval):
    net, foldings = small(interval)
    counters, ends = check_core(net, foldings, frames(np.random.default_rng(0), net.input, 4))
    assert counters["stalled_out"] == 0
    assert counters["stalled_in"] > 0, "a source that never pauses waits for the slowest layer"
    slowest = max(folding.cycles(layer) for layer, folding in zip(net.layers, foldings, strict=True))
    assert np.diff(ends)[1:].tolist() == [slowest] * 2


@pytest.mark.parametrize("seed", [1, 2])
def test_equals_reference_when_stalled(seed):
    net, foldings = small()
    x = frames(np.random.default_rng(seed), net.input, 3)
    counters, _ = check_core(net, foldings, x, stall_in=0.3, stall_out=0.6, seed=seed)
    assert counters["stalled_out"] > 0


@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 4}], ids=["free", "stalled"])
def test_damaged_frames_do_not_touch_their_neighbours(stalls):
    net, foldings = small()
    x = frames(np.random.default_rng(5), net.input, 7)
    check_core(net, foldings, x, cut=(1, 3), stretch=(4, 5), **stalls)


def wide() -> tuple[Network, list[Folding]]:
    """A dense layer of 12 results, which it makes in 9 cycles: fewer than a value per cycle would take."""
    source = tensor((2, 2, 4))
    layer = conv(np.random.default_rng(8), source, 12, (2, 2), output=LOGITS)
    return network(layer, source=source), [Folding(6, 4, 3)]


@pytest.mark.parametrize(("lanes", "cycles"), [(1, 12), (2, 9), (3, 9), (4, 9), (12, 9)])
def test_an_output_of_several_lanes(lanes, cycles):
    """The lowest channel is in the low bits; two lanes keep up with the layer, and more are no faster."""
    net, foldings = wide()
    assert foldings[0].cycles(net.layers[0]) == 9
    _, ends = check_core(net, foldings, frames(np.random.default_rng(1), net.input, 6), lanes=[lanes])
    assert np.diff(ends)[2:].tolist() == [cycles] * 3


@pytest.mark.parametrize("lanes", [2, 4, 12])
@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.3, "stall_out": 0.5, "seed": 6}], ids=["free", "stalled"])
def test_damaged_frames_of_an_output_of_several_lanes(lanes, stalls):
    """One beat per frame is the shortest that a frame can be: with 12 lanes every beat carries ``tlast``."""
    net, foldings = wide()
    x = frames(np.random.default_rng(lanes), net.input, 7)
    check_core(net, foldings, x, lanes=[lanes], cut=(1, 3), stretch=(4, 5), **stalls)


def test_outputs_of_different_lanes():
    """Of a layer in the middle, one at the end and an input passed on, each in words that its source does not have."""
    net = two_ends(np.random.default_rng(1))
    core = Core(net, [Folding(4, 2, 1), Folding(4, 4, 4), Folding(3, 4, 3)], lanes=[2, 1, 2])
    assert [(port.lanes, port.beats, port.words) for port in core.outputs] == [(2, 8, 16), (1, 3, 3), (2, 8, 16)]
    data = {tensor.name: frames(np.random.default_rng(4), tensor, 4) for tensor in net.inputs}
    check_frames(net, core, data, stall_in=0.3, stall_out=0.6, seed=3)


@pytest.mark.parametrize(
    ("lanes", "message"),
    [
        ([2, 3], "result lanes must be one for each of 3 outputs, not 2"),
        ([3, 3, 1], "a: lanes of an output must divide its 4 channels, not 3"),
        ([1, 0, 1], "c: lanes of an output must divide its 3 channels, not 0"),
    ],
)
def test_refuses_lanes_that_do_not_fit_the_outputs(lanes, message):
    net = two_ends(np.random.default_rng(1))
    with pytest.raises(ValueError, match=message):
        Core(net, [Folding(4, 2, 4), Folding(4, 4, 4), Folding(3, 4, 3)], lanes=lanes)


def test_a_slow_sink_stops_the_source():
    """Back-pressure reaches the input: nothing is lost, and the counter of the output's stalls says who was slow."""
    net, foldings = small()
    x = frames(np.random.default_rng(6), net.input, 3)
    counters, _ = check_core(net, foldings, x, stall_out=0.97, seed=1)
    assert counters["stalled_out"] > 100


def test_engine_names_are_plain_identifiers():
    assert engine_name(3, "/conv1/Conv_output_0") == "layer3_conv1_Conv_output_0"
    assert engine_name(0, "größe") == "layer0_gr__e"
    assert engine_name(1, "///") == "layer1"
    net, foldings = small()
    assert Core(net, foldings).engines == ["layer0_a", "layer1_b", "layer2_c", "layer3_d", "layer4_e"]


def test_refuses_a_missing_folding():
    net, foldings = small()
    with pytest.raises(ValueError, match="foldings must be one for each of 5 layers, not 4"):
        Core(net, foldings[:-1])


@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.4, "stall_out": 0.3, "seed": 2}], ids=["free", "stalled"])
def test_damage_on_one_of_two_inputs_does_not_shift_later_frames(stalls):
    """Frames are short or long on one input, the other, both; all outputs flag the frame, and no other is touched."""
    net = two_ends(np.random.default_rng(1))
    core = Core(net, [Folding(2, 2, 1), Folding(2, 2, 2), Folding(1, 4, 1)])
    rng = np.random.default_rng(2)
    left, right = core.inputs
    a, seen_a = damage(left, frames(rng, net.inputs[0], 7), (1, 4), (2,))
    b, seen_b = damage(right, frames(rng, net.inputs[1], 7), (2,), (5,))
    data, sent = {"left": seen_a, "right": seen_b}, {"left": a, "right": b}
    check_frames(net, core, data, wrong=(1, 2, 4, 5), sent=sent, **stalls)


def test_the_outputs_of_a_core_keep_their_order_when_one_is_slow():
    net = two_ends(np.random.default_rng(1))
    core = Core(net, [Folding(4, 2, 4), Folding(4, 4, 4), Folding(3, 4, 3)])
    assert [port.prefix for port in core.inputs] == ["s_axis_", "s_axis1_"]
    assert [(port.prefix, port.tensor, port.words) for port in core.outputs] == [
        ("m_axis_", "a", 16),
        ("m_axis1_", "c", 3),
        ("m_axis2_", "right", 16),
    ]
    data = {tensor.name: frames(np.random.default_rng(4), tensor, 4) for tensor in net.inputs}
    check_frames(net, core, data, stall_out=0.8, seed=3)


def test_refuses_an_input_wider_than_a_byte():
    rng = np.random.default_rng(0)
    source = tensor((2, 2, 1), Interval(-256, 255))
    net = network(conv(rng, source, 1, (2, 2)), source=source)
    with pytest.raises(ValueError, match="x: an input must have at most 8 bits, not 9"):
        Core(net, [Folding(1, 1, 1)])
