"""Random small networks on random legal foldings under random stalls: always the reference."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.floatnet import PoolKind
from hwgen.geometry import Geometry
from hwgen.interval import Interval

from ..networks import BYTE, SIGNED, conv, foldings, frames, network, pool, tensor
from .test_top import check_core

INTERVALS = [BYTE, SIGNED, Interval(0, 15), Interval(-2, 1)]
CHANNELS = [1, 2, 3, 4, 6]


@st.composite
def windows(draw, shape):
    """A kernel, stride and pads that leave at least one output pixel of a map of ``shape``.

    Mostly as networks have them; now and then pads wider than the kernel and strides beyond it.
    """
    unusual = draw(st.sampled_from([False, False, True]))
    kernel, stride, before, after = [], [], [], []
    for size in shape[:2]:
        taps = draw(st.integers(1, min(size, 3)) | st.just(size))
        pads = st.integers(0, 4 if unusual else min(2, taps - 1))
        kernel.append(taps)
        stride.append(draw(st.integers(1, 6 if unusual else 3)))
        before.append(draw(pads))
        after.append(draw(pads))
    pads = (before[0], before[1], after[0], after[1])
    geometry = Geometry(shape, tuple(kernel), tuple(stride), pads)
    assume(geometry.output[0] * geometry.output[1] <= 50)
    return geometry.kernel, geometry.stride, geometry.pads


@st.composite
def chains(draw):
    """A network of one to three layers, a folding for each, and the stalls of both ends."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from(CHANNELS)))
    source = last = tensor(shape, draw(st.sampled_from(INTERVALS)))
    layers = []
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([None, None, *PoolKind]))
        kernel, stride, pads = draw(windows(last.shape))
        output = draw(st.sampled_from(INTERVALS))
        if kind is None:
            outputs, book = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from(list(CODES)))
            layer = conv(
                rng, last, outputs, kernel, stride=stride, pads=pads, book=book, output=output, name=f"layer{index}"
            )
        else:
            layer = pool(rng, last, kind, kernel, stride, pads=pads, output=output, name=f"layer{index}")
        layers.append(layer)
        last = layer.output
    chosen = [draw(st.sampled_from(foldings(layer))) for layer in layers]
    stalls = {
        "stall_in": draw(st.sampled_from([0.0, 0.3])),
        "stall_out": draw(st.sampled_from([0.0, 0.4, 0.8])),
        "seed": draw(st.integers(0, 9)),
    }
    return network(*layers, source=source), chosen, frames(rng, source, 3), stalls


@settings(derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(chains())
def test_equals_reference(chain):
    net, chosen, x, stalls = chain
    check_core(net, chosen, x, **stalls)
