"""Random small networks on random legal foldings under random stalls: always the reference."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.sizing.folding import divisors
from hwgen.sizing.geometry import Geometry

from ..networks import BYTE, SIGNED, conv, foldings, frames, network, pool, tensor, unrolled
from .test_top import check_core

INTERVALS = [BYTE, SIGNED, Interval(0, 15), Interval(-2, 1)]
CHANNELS = [1, 2, 3, 4, 6]


@st.composite
def windows(draw, shape):
    """A kernel and the stride, pads and dilation that leave at least one output pixel of a map of ``shape``.

    Mostly as networks have them; now and then pads wider than the kernel and strides beyond it.
    """
    unusual = draw(st.sampled_from([False, False, True]))
    kernel, stride, dilation, before, after = [], [], [], [], []
    for size in shape[:2]:
        taps, step = draw(st.integers(1, min(size, 3)) | st.just(size)), draw(st.sampled_from([1, 1, 1, 2, 3]))
        least = max(0, (taps - 1) * step + 1 - size)  # for one window
        pads = st.integers(0, 4 if unusual else min(2, taps - 1))
        kernel.append(taps)
        stride.append(draw(st.integers(1, 6 if unusual else 3)))
        dilation.append(step)
        before.append(least // 2 + draw(pads))
        after.append(least - least // 2 + draw(pads))
    pads = (before[0], before[1], after[0], after[1])
    geometry = Geometry(shape, tuple(kernel), tuple(stride), pads, dilation=tuple(dilation))
    assume(geometry.output[0] * geometry.output[1] <= 50)
    return geometry.kernel, {"stride": geometry.stride, "pads": geometry.pads, "dilation": geometry.dilation}


@st.composite
def chains(draw):
    """A network of one to three layers, a folding for each, and the stalls of both ends."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from(CHANNELS)))
    source = last = tensor(shape, draw(st.sampled_from(INTERVALS)))
    layers = []
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([None, None, *PoolKind]))
        kernel, options = draw(windows(last.shape))
        options |= {"output": draw(st.sampled_from(INTERVALS)), "name": f"layer{index}"}
        if kind is None:
            groups = draw(st.sampled_from([1, *divisors(last.shape[2])]))
            outputs = groups * draw(st.sampled_from([1, 2, 3])) if groups > 1 else draw(st.sampled_from(CHANNELS))
            layer = conv(rng, last, outputs, kernel, groups=groups, book=draw(st.sampled_from(list(CODES))), **options)
        else:
            layer = pool(rng, last, kind, kernel, options.pop("stride"), count_inside=draw(st.booleans()), **options)
        layers.append(layer)
        last = layer.output
    chosen = [draw(st.sampled_from(foldings(layer))) for layer in layers]
    chosen = [draw(st.sampled_from(unrolled(layer, folding))) for layer, folding in zip(layers, chosen, strict=True)]
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
