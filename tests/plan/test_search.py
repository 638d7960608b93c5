"""Planning: the fastest that fits, the smallest that is fast enough, and a reason when there is none."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from hwgen.boards import board
from hwgen.errors import HwgenError
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import FILL, Folding, plan
from hwgen.plan.cost import SHELL, layer_cost
from hwgen.plan.width import gearbox_cost
from hwgen.sizing.folding import divisors, geometry_of

from ..networks import conv, network, pool, tensor

ULX3S = board("ulx3s-25f")
ICEBREAKER = board("icebreaker")


@pytest.fixture(scope="module")
def net():
    """About the size of LeNet's front half."""
    rng = np.random.default_rng(0)
    source = tensor((12, 12, 1))
    a = conv(rng, source, 8, (3, 3), pads=(1, 1, 1, 1), name="a")
    b = pool(rng, a.output, PoolKind.MAX, (2, 2), (2, 2), name="b")
    c = conv(rng, b.output, 12, (3, 3), pads=(1, 1, 1, 1), name="c")
    d = conv(rng, c.output, 10, (6, 6), output=Interval.of_bits(18, signed=True), name="d")
    return network(a, b, c, d, source=source)


@pytest.fixture(scope="module")
def smallest(net):
    """LUTs of the plan that is as small as can be: one frame per second."""
    return plan(net, ULX3S, target_fps=1).cost.lut


def every_folding(layer):
    inputs = divisors(layer.input_shape[2])
    if not hasattr(layer, "codes"):
        return [Folding(lanes, lanes, lanes) for lanes in inputs]
    unrolls = [(1, 1)] if geometry_of(layer).direct else list(itertools.product(*map(divisors, layer.kernel)))
    arrays = itertools.product(divisors(layer.codes.shape[0]), inputs, unrolls)
    return [Folding.of(layer, pe, simd, unroll) for pe, simd, unroll in arrays]


def test_fits_and_uses_the_device(net):
    found = plan(net, ULX3S)
    assert found.cost.lut <= found.lut_budget == int(ULX3S.lut * FILL)
    assert found.cost.bram <= found.bram_budget == ULX3S.bram
    assert found.board == "ulx3s-25f"
    for folding, layer in zip(found.foldings, net.layers, strict=True):
        folding.validate(layer)


def test_figures_are_those_of_the_foldings(net):
    found = plan(net, ULX3S)
    for planned, layer in zip(found.layers, net.layers, strict=True):
        assert planned.cycles == planned.folding.cycles(layer)
    lanes = [*(folding.simd for folding in found.foldings[1:]), *found.result_lanes]
    for planned, layer, o_lanes in zip(found.layers, net.layers, lanes, strict=True):
        own = layer_cost(layer, net.tensor(layer.source), planned.folding, ULX3S.family)
        bits = layer.output.interval.bits
        assert planned.cost == own + gearbox_cost(ULX3S.family, bits, planned.folding.lanes, o_lanes)
    simd = found.foldings[0].simd
    assert found.input_cycles == 144 // simd
    assert found.output_cycles == 10
    assert found.cycles_per_frame == max(found.input_cycles, *(layer.cycles for layer in found.layers))
    assert found.frames_per_second == found.clock_mhz * 1e6 / found.cycles_per_frame
    assert found.bottleneck in {"input", "output", *(layer.name for layer in net.layers)}


@pytest.mark.parametrize("share", [1.0, 1.3, 2.0, 4.0])
def test_nothing_that_fits_is_faster(net, smallest, share):
    """For each faster rate that a layer could have, even the smallest plan is refused."""
    limit = int(smallest * share)
    found = plan(net, ULX3S, max_luts=limit)
    assert found.cost.lut <= limit
    rates = sorted({folding.cycles(layer) for layer in net.layers for folding in every_folding(layer)})
    for cycles in itertools.takewhile(lambda c: c < found.cycles_per_frame, rates):
        with pytest.raises(HwgenError, match=r"does not fit|at its fastest folding"):
            plan(net, ULX3S, max_luts=limit, target_fps=ULX3S.frequency_mhz * 1e6 / cycles)


def test_more_luts_are_never_slower(net, smallest):
    budgets = [int(smallest * (1 + step / 4)) for step in range(24)]
    rates = [plan(net, ULX3S, max_luts=luts).cycles_per_frame for luts in budgets]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 4 * rates[-1], "the budget matters"


def test_max_luts_cannot_exceed_the_device(net):
    """Who names a limit may go past the share that is safe for the router, but not past the device."""
    assert plan(net, ULX3S, max_luts=10**9).lut_budget == ULX3S.lut
    assert plan(net, ULX3S, max_luts=20_000).lut_budget == 20_000


def price(cost):
    return cost.lut + cost.bram * ULX3S.lut / ULX3S.bram


def test_no_layer_is_faster_than_it_must(net):
    """Any cheaper number of PEs and lanes of any layer would make the frame slower."""
    found = plan(net, ULX3S)
    for planned, layer in zip(found.layers, net.layers, strict=True):
        source = net.tensor(layer.source)
        chosen = Folding.of(layer, planned.folding.pe, planned.folding.simd, planned.folding.unroll)
        for folding in every_folding(layer):
            costs = [layer_cost(layer, source, option, ULX3S.family) for option in (folding, chosen)]
            if price(costs[0]) < price(costs[1]):
                assert folding.cycles(layer) > found.cycles_per_frame


@pytest.mark.parametrize("channels", [12, 24])
def test_lanes_are_those_that_cost_least_with_the_way_behind_them(channels):
    """Layers of one rate and coprime lanes: wider results can be cheaper than bringing narrow ones together."""
    rng = np.random.default_rng(0)
    source = tensor((6, 6, 4))
    a = conv(rng, source, channels, (3, 3), pads=(1, 1, 1, 1), name="a")
    b = conv(rng, a.output, 9, (2, 2), name="b")
    net = network(a, b, source=source)
    found = plan(net, ULX3S)
    wanted = [found.foldings[1].simd, *found.result_lanes]
    for planned, layer, o_lanes in zip(found.layers, net.layers, wanted, strict=True):
        bits, costs = layer.output.interval.bits, {}
        for lanes in divisors(planned.folding.pe):
            folding = replace(planned.folding, lanes=lanes)
            if folding.cycles(layer) <= found.cycles_per_frame:
                own = layer_cost(layer, net.tensor(layer.source), folding, ULX3S.family)
                costs[lanes] = own + gearbox_cost(ULX3S.family, bits, lanes, o_lanes)
        assert planned.cost == costs[planned.folding.lanes]
        assert price(planned.cost) == min(map(price, costs.values()))


@pytest.fixture(scope="module")
def decoder():
    """As many results as inputs, and little to do for each: the back half of an autoencoder."""
    rng = np.random.default_rng(0)
    source = tensor((1, 1, 16))
    a = conv(rng, source, 4, (1, 1), name="a")
    b = conv(rng, a.output, 48, (1, 1), output=Interval.of_bits(16, signed=True), name="b")
    return network(a, b, source=source)


@pytest.mark.parametrize(("cycles", "lanes"), [(1000, 1), (48, 1), (47, 2), (24, 2), (23, 3), (16, 3), (12, 4), (8, 6)])
def test_an_output_has_the_fewest_lanes_that_keep_up(decoder, cycles, lanes):
    found = plan(decoder, ULX3S, clock_mhz=100, target_fps=100e6 / cycles)
    assert found.result_lanes == [lanes]
    assert found.output_cycles == 48 // lanes
    assert found.cycles_per_frame <= cycles
    assert found.as_dict()["outputs"] == [{"name": "b", "lanes": lanes, "cycles": 48 // lanes}]
    last = found.layers[-1]
    own = layer_cost(decoder.layers[-1], decoder.layers[0].output, last.folding, ULX3S.family)
    assert last.cost == own + gearbox_cost(ULX3S.family, 16, last.folding.lanes, lanes)


def test_an_output_does_not_cap_the_fastest_plan(decoder):
    """It is as fast as the slowest layer, with no more lanes than that takes; what a board must then hold is priced."""
    found = plan(decoder, ULX3S)
    assert found.cycles_per_frame == max(layer.cycles for layer in found.layers) < 48
    (lanes,) = found.result_lanes
    fewer = [count for count in divisors(48) if count < lanes]
    assert all(48 // count > found.cycles_per_frame for count in fewer)
    slow = plan(decoder, ULX3S, target_fps=1)
    shell = [p.cost.lut - sum(layer.cost.lut for layer in p.layers) for p in (found, slow)]
    fifos = sum(fifo.cost.lut for fifo in found.planned_fifos)
    assert shell[0] - shell[1] - fifos == gearbox_cost(ULX3S.family, 32, lanes, 1).lut


def test_a_network_with_many_results_keeps_its_lanes_when_space_is_short(decoder):
    """Every budget gets at most the lanes of a larger one, and an output is never the reason to be slower."""
    smallest, largest = (plan(decoder, ULX3S, **options).cost.lut for options in ({"target_fps": 1}, {}))
    found = [plan(decoder, ULX3S, max_luts=luts) for luts in np.linspace(smallest, largest, 8, dtype=int).tolist()]
    lanes = [p.result_lanes[0] for p in found]
    assert lanes == sorted(lanes)
    assert lanes[0] == 1 < lanes[-1]


def test_an_input_that_is_only_passed_on_has_one_lane():
    """No layer says how fast it must come; the other output may still have lanes."""
    rng = np.random.default_rng(0)
    left, right = tensor((1, 1, 8), name="left"), tensor((1, 1, 8), name="right")
    a = conv(rng, left, 64, (1, 1), name="a")
    found = plan(network(a, source=(left, right), outputs=("a", "right")), ULX3S)
    assert [(port.name, port.lanes) for port in found.outputs] == [("a", 8), ("right", 1)]
    assert found.cycles_per_frame == 8


def test_the_frame_buffer_is_the_board_tops(net):
    """A frame of 144 bytes is buffered in 512; 3,000 bytes in 4,096, eight block RAMs of iCE40."""
    layers = sum(layer.cost.bram for layer in plan(net, ICEBREAKER, target_fps=1).layers)
    assert plan(net, ICEBREAKER, target_fps=1).cost.bram == layers + SHELL["ice40"].bram + 1
    source = tensor((10, 10, 30))
    wide = network(conv(np.random.default_rng(0), source, 2, (1, 1)), source=source)
    found = plan(wide, ICEBREAKER, target_fps=1)
    assert found.cost.bram == found.layers[0].cost.bram + SHELL["ice40"].bram + 8


def test_a_target_takes_the_smallest_that_reaches_it(net):
    fastest = plan(net, ULX3S)
    sizes = []
    for share in (0.02, 0.1, 0.3, 1.0):
        target = fastest.frames_per_second * share
        found = plan(net, ULX3S, target_fps=target)
        assert found.frames_per_second >= target * (1 - 1e-9)
        sizes.append(found.cost.lut)
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.6 * sizes[-1]


def test_the_clock_counts(net):
    slow = plan(net, ULX3S, clock_mhz=50)
    fast = plan(net, ULX3S, clock_mhz=100)
    assert slow.cycles_per_frame == fast.cycles_per_frame
    assert slow.frames_per_second * 2 == fast.frames_per_second
    assert plan(net, ULX3S).clock_mhz == ULX3S.frequency_mhz


def test_too_few_luts_are_named(net):
    with pytest.raises(HwgenError, match="does not fit ulx3s-25f") as caught:
        plan(net, ULX3S, max_luts=500)
    needed, allowed, worst = map(
        int, re.search(r"about (\d+) LUTs and (\d+) may be used, (\d+) of them for '\w+'", str(caught.value)).groups()
    )
    assert allowed == 500 < worst < needed


def test_too_few_block_rams_are_named():
    rng = np.random.default_rng(0)
    source = tensor((8, 8, 32))
    big = network(conv(rng, source, 64, (8, 8), name="big"), source=source)
    with pytest.raises(HwgenError, match=r"it needs (\d+) block RAMs of 30, (\d+) of them for 'big'") as caught:
        plan(big, ICEBREAKER)
    # 131,072 codes of four bits in block RAMs of 4,096 bits.
    assert int(re.search(r"(\d+) of them", str(caught.value)).group(1)) >= 128


def test_an_impossible_rate_is_named(net):
    with pytest.raises(HwgenError) as caught:
        plan(net, ULX3S, target_fps=5e6)
    text = str(caught.value)
    assert re.search(r"^5e\+06 frames/s at 100 MHz allow 20 cycles per frame, but '\w+' needs \d+ at its", text)


def test_a_rate_that_does_not_fit_names_the_luts(net):
    small = replace(ICEBREAKER, lut=1_500)
    with pytest.raises(HwgenError, match=r"does not fit icebreaker: it needs about \d+ LUTs and 1275 may be used"):
        plan(net, small, target_fps=10_000)


@pytest.mark.parametrize("target", [0, -5, float("nan")])
def test_refuses_a_target_that_is_no_rate(net, target):
    with pytest.raises(HwgenError, match="target fps must be positive"):
        plan(net, ULX3S, target_fps=target)


def test_json(net):
    found = plan(net, ULX3S)
    result = json.loads(json.dumps(found.as_dict()))
    assert list(result) == [
        "board",
        "clock_mhz",
        "cycles_per_frame",
        "frames_per_second",
        "bottleneck",
        "lut",
        "bram",
        "lut_budget",
        "bram_budget",
        "layers",
        "fifos",
        "inputs",
        "outputs",
    ]
    keys = ["name", "kind", "pe", "simd", "lanes", "unroll", "cycles", "utilisation", "macs", "lut", "bram"]
    assert [list(layer) for layer in result["layers"]] == [keys] * 4
    assert [layer["kind"] for layer in result["layers"]] == ["conv", "max pool", "conv", "conv"]
    assert [layer["macs"] for layer in result["layers"]] == [144 * 72, 0, 36 * 12 * 72, 36 * 12 * 10]
    assert max(layer["utilisation"] for layer in result["layers"]) <= 1


def test_tensors_beyond_every_device_are_refused():
    """In no time: what a damaged model may ask for must not keep the planner busy."""
    source = tensor((36, 38940, 4))
    huge = conv(np.random.default_rng(0), source, 4, (3, 3), pads=(1, 1, 1, 1))
    with pytest.raises(HwgenError, match="5607360 values"):
        plan(network(huge, source=source), ULX3S)
