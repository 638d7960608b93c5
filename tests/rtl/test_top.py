"""The core in simulation: a whole small network, damaged frames between good ones, the counters."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Network
from hwgen.plan import Folding
from hwgen.reference import run
from hwgen.rtl.top import Core, engine_name

from ..networks import BYTE, SIGNED, conv, frames, network, pool, tensor
from .axi import play_frames

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


def beats_of(x: np.ndarray, lanes: int) -> list[int]:
    """tdata of one frame: a byte per lane, the lowest channel in the low byte."""
    return [int.from_bytes(beat.tobytes(), "little") for beat in (x & 255).astype(np.uint8).reshape(-1, lanes)]


def check_core(net, foldings, x, *, cut=(), stretch=(), **stalls):
    """Send ``x``; frames in ``cut`` lose their last beat, those in ``stretch`` get two more. Good frames must be exact.

    Returns the counters and the cycle of every frame's end.
    """
    core = Core(net, foldings, identity=0x0123_4567_89AB_CDEF)
    sent, seen_as = [], x.copy()
    for index, frame in enumerate(x):
        beats = beats_of(frame, core.lanes)
        assert len(beats) == core.input_beats
        if index in cut:
            beats = beats[:-1]
            seen_as[index].reshape(-1)[-core.lanes :] = 0  # the missing beat is read as zeros
        if index in stretch:
            beats += [0xFF, 0xFF]
        sent.append(beats)
    names = ("identity", "frames", "errors", "stalled_in", "stalled_out")
    words, cycles, counters = play_frames(core, sent, core.output_words * len(x), probe=names, **stalls)
    got = np.array([word for word, _, _ in words]).reshape(len(x), *net.output.shape)
    np.testing.assert_array_equal(got, run(net, seen_as))
    ends = [number % core.output_words == core.output_words - 1 for number in range(len(words))]
    assert [bool(last) for _, last, _ in words] == ends
    wrong = {*cut, *stretch}
    assert [bool(user) for _, _, user in words] == [
        end and number // core.output_words in wrong for number, end in enumerate(ends)
    ]
    assert counters["identity"] == 0x0123_4567_89AB_CDEF
    assert counters["frames"] == len(x)
    assert counters["errors"] == len(wrong)
    return counters, cycles[core.output_words - 1 :: core.output_words]


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
